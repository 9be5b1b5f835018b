//! The tools.

use hapi_guard::Verified;
use http::request::Parts;
use rmcp::handler::server::common::Extension;
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::schemars::{self, JsonSchema};
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};
use serde::{Deserialize, Serialize};
use time::Date;
use time::format_description::well_known::Iso8601;

use crate::sky;

/// An almanac: day lengths and moon phases, for whom the guard lets in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Almanac;

/// Where and when.
#[derive(Debug, Deserialize, JsonSchema)]
struct Place {
    /// Degrees north of the equator, from -90 to 90.
    latitude: f64,
    /// `YYYY-MM-DD`.
    date: String,
}

/// When.
#[derive(Debug, Deserialize, JsonSchema)]
struct Day {
    /// `YYYY-MM-DD`.
    date: String,
}

/// How long a day is.
#[derive(Debug, Serialize, JsonSchema)]
struct DayLength {
    /// Hours from sunrise to sunset; 0 in the polar night, 24 on the polar day.
    hours: f64,
    /// The client that asked, as its descriptor says.
    asked_by: String,
}

/// What the moon looks like.
#[derive(Debug, Serialize, JsonSchema)]
struct MoonPhase {
    /// Its name.
    phase: String,
    /// The share of the disk that is lit, in per cent.
    illuminated_percent: f64,
    /// Days since the last new moon.
    age_days: f64,
    /// The client that asked, as its descriptor says.
    asked_by: String,
}

#[tool_router]
impl Almanac {
    /// Hours of daylight on a date at a latitude.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn day_length(
        &self,
        Parameters(place): Parameters<Place>,
        Extension(parts): Extension<Parts>,
    ) -> Result<Json<DayLength>, ErrorData> {
        if !(-90.0..=90.0).contains(&place.latitude) {
            let message = format!("latitude {} is not from -90 to 90", place.latitude);
            return Err(ErrorData::invalid_params(message, None));
        }
        let hours = rounded(sky::day_length_hours(place.latitude, parse(&place.date)?));
        Ok(Json(DayLength { hours, asked_by: asker(&parts) }))
    }

    /// The phase of the moon on a date.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn moon_phase(
        &self,
        Parameters(day): Parameters<Day>,
        Extension(parts): Extension<Parts>,
    ) -> Result<Json<MoonPhase>, ErrorData> {
        let moon = sky::moon(parse(&day.date)?);
        Ok(Json(MoonPhase {
            phase: moon.phase.to_owned(),
            illuminated_percent: rounded(moon.illuminated * 100.0),
            age_days: rounded(moon.age_days),
            asked_by: asker(&parts),
        }))
    }
}

#[tool_handler]
impl ServerHandler for Almanac {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("almanac", env!("CARGO_PKG_VERSION")))
            .with_instructions("Day lengths and moon phases, computed here.")
    }
}

/// Who boards. The guard has put it into the request, and lets no other request through.
fn asker(parts: &Parts) -> String {
    let verified = parts.extensions.get::<Verified>();
    verified.map_or_else(|| "nobody".to_owned(), |verified| verified.claims.client.id.clone())
}

fn parse(date: &str) -> Result<Date, ErrorData> {
    Date::parse(date, &Iso8601::DATE).map_err(|error| {
        ErrorData::invalid_params(format!("{date:?} is not a date YYYY-MM-DD: {error}"), None)
    })
}

/// To a hundredth: the formulas promise no more.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
