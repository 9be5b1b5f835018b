//! What becomes of URL templates.
//!
//! `template` is followed by a URL, `insecure` says that the cluster allows plain `http` and localhost,
//! `declare` by variables (`name`, `name=default`, `name:choice|choice`, `name:choice|choice=default`),
//! `expand` by values, `matches` by an endpoint.

use crate::page;
use hapi_registry_state::{Endpoint, UrlTemplate, Variable};
use std::{collections::BTreeMap, fmt::Write as _};

#[test]
fn the_pages_hold() {
    page::check("templates.txt", run);
    page::check("endpoints.txt", run_endpoint);
}

fn run(input: &str) -> String {
    let words = |command| arguments(input, command).next().into_iter().flat_map(str::split_whitespace);
    let declared: BTreeMap<_, _> = words("declare").map(declaration).collect();
    let text = words("template").next().unwrap();
    let template = match UrlTemplate::parse(text, &declared, input.contains("\ninsecure")) {
        Ok(template) => template,
        Err(error) => return format!("refused: {error}"),
    };
    let mut out = format!("origins {}\n", template.origin_choices().join(" "));
    for values in arguments(input, "expand") {
        let values = values.split_whitespace().filter_map(|value| value.split_once('='));
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        match template.expand(&values, &declared) {
            Ok(endpoint) => writeln!(out, "expanded {}", describe(&endpoint)).unwrap(),
            Err(error) => writeln!(out, "not expanded: {error}").unwrap(),
        }
    }
    for endpoint in arguments(input, "matches") {
        let matches = template.matches(&Endpoint::parse(endpoint).unwrap());
        writeln!(out, "{} {endpoint}", if matches { "matches" } else { "does not match" }).unwrap();
    }
    out
}

fn run_endpoint(input: &str) -> String {
    let outcome = |text| match Endpoint::parse(text) {
        Ok(endpoint) => format!("{}, origin {}", describe(&endpoint), endpoint.origin()),
        Err(error) => format!("refused: {error}"),
    };
    input.lines().map(outcome).collect::<Vec<_>>().join("\n")
}

fn describe(endpoint: &Endpoint) -> String {
    format!("{} = {}", endpoint.as_written(), endpoint.normalised())
}

fn arguments<'a>(input: &'a str, command: &'a str) -> impl Iterator<Item = &'a str> {
    input.lines().filter_map(move |line| line.strip_prefix(command)).map(str::trim_start)
}

fn declaration(text: &str) -> (String, Variable) {
    let (text, default) = match text.split_once('=') {
        Some((text, default)) => (text, Some(default.to_owned())),
        None => (text, None),
    };
    let (name, choices) = text.split_once(':').unwrap_or((text, ""));
    let choices = choices.split('|').filter(|choice| !choice.is_empty()).map(str::to_owned).collect();
    (name.to_owned(), Variable { choices, default, ..Variable::default() })
}
