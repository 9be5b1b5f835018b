//! What the sun and the moon do, by formulas that fit on a page. Days are counted in UTC.

use std::f64::consts::{PI, TAU};

use time::Date;

/// From one new moon to the next on average, in days (Meeus, *Astronomical Algorithms*, ch. 49).
const SYNODIC_MONTH_DAYS: f64 = 29.530_588_861;

/// The new moon of 6 January 2000, 18:14 UTC, as a Julian date.
const A_NEW_MOON: f64 = 2_451_550.26;

/// How far the sun's centre stands below the horizon when its upper edge rises, refraction included, in degrees.
const SUNRISE_DEGREES: f64 = 0.8333;

/// The phases in their order, each an eighth of the month long, with its middle where the name fits best.
const PHASES: [&str; 8] = [
    "new moon",
    "waxing crescent",
    "first quarter",
    "waxing gibbous",
    "full moon",
    "waning gibbous",
    "last quarter",
    "waning crescent",
];

/// Hours of daylight on a date at a latitude, by the CBM model (Forsythe et al., *Ecological Modelling* 80, 1995,
/// 87–95): within some minutes between the polar circles. 0 in the polar night, 24 on the polar day.
pub(crate) fn day_length_hours(latitude_degrees: f64, date: Date) -> f64 {
    let day = f64::from(date.ordinal());
    let revolution = 0.216_310_8 + 2.0 * (0.967_139_6 * (0.008_60 * (day - 186.0)).tan()).atan();
    let declination = (0.397_95 * revolution.cos()).asin();
    let latitude = latitude_degrees.to_radians();
    let horizon = SUNRISE_DEGREES.to_radians().sin();
    let cosine = (horizon + latitude.sin() * declination.sin()) / (latitude.cos() * declination.cos());
    24.0 - 24.0 / PI * cosine.clamp(-1.0, 1.0).acos()
}

/// The mean moon at noon UTC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moon {
    /// Days since the mean new moon.
    pub(crate) age_days: f64,
    /// The share of the disk that is lit, from 0 to 1.
    pub(crate) illuminated: f64,
    /// What people call it.
    pub(crate) phase: &'static str,
}

/// The moon on a date, from its mean period alone: within a day of the true phase.
pub(crate) fn moon(date: Date) -> Moon {
    // A Julian day begins at noon, so that its number is the Julian date of noon.
    let age_days = (f64::from(date.to_julian_day()) - A_NEW_MOON).rem_euclid(SYNODIC_MONTH_DAYS);
    let turn = age_days / SYNODIC_MONTH_DAYS;
    let illuminated = (1.0 - (TAU * turn).cos()) / 2.0;
    let phase = PHASES[(turn * 8.0).round() as usize % PHASES.len()];
    Moon { age_days, illuminated, phase }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use time::Month;

    use super::*;

    fn date(year: i32, month: Month, day: u8) -> Date {
        Date::from_calendar_date(year, month, day).unwrap()
    }

    #[test]
    fn days_are_as_long_as_tables_say() {
        for (latitude, date, hours) in [
            (0.0, date(2026, Month::March, 20), 12.1),
            (52.5, date(2026, Month::June, 21), 16.8),
            (52.5, date(2026, Month::December, 21), 7.65),
            (-33.9, date(2026, Month::December, 21), 14.4),
            (80.0, date(2026, Month::June, 21), 24.0),
            (80.0, date(2026, Month::December, 21), 0.0),
            (90.0, date(2026, Month::June, 21), 24.0),
        ] {
            let computed = day_length_hours(latitude, date);
            assert!((computed - hours).abs() < 0.1, "{latitude} on {date}: {computed}");
        }
    }

    #[test]
    fn the_moon_is_new_and_full_when_calendars_say_so() {
        for (date, phase) in [
            (date(2000, Month::January, 6), "new moon"),
            (date(2024, Month::April, 8), "new moon"),
            (date(2025, Month::March, 14), "full moon"),
            (date(2026, Month::August, 12), "new moon"),
        ] {
            assert_eq!(moon(date).phase, phase, "{date}");
        }
        let full = moon(date(2025, Month::March, 14));
        assert!(full.illuminated > 0.97 && (full.age_days - 14.8).abs() < 1.0, "{full:?}");
    }
}
