//! Inputs: what a user is asked for, as variables, headers, environment variables and arguments.

use super::{Issue, object::Object, rules::Report};
use crate::endpoint::Variable;
use std::collections::BTreeMap;

/// Checks the fields that every input has, and keeps those that filling in a URL needs.
fn read(input: &Object<'_>, report: &mut Report) -> Variable {
    for field in ["description", "placeholder", "value"] {
        input.text(field, report);
    }
    input.one_of("format", &["string", "number", "boolean", "filepath"], report);
    let variable = Variable {
        choices: input.texts("choices", report).into_iter().map(str::to_owned).collect(),
        default: input.text("default", report).map(str::to_owned),
        is_required: input.flag("isRequired", report),
        is_secret: input.flag("isSecret", report),
    };
    check_default(input, &variable, report);
    variable
}

fn check_default(input: &Object<'_>, variable: &Variable, report: &mut Report) {
    let Some(default) = &variable.default else { return };
    if !variable.choices.is_empty() && !variable.choices.contains(default) {
        let message = format!("`{default}` is not one of `choices`");
        report.refuse(Issue::semantic(&input.at("default"), "default-not-a-choice", message));
    }
}

/// The variables that `object` declares, by name.
pub(super) fn variables(object: &Object<'_>, report: &mut Report) -> BTreeMap<String, Variable> {
    let members = object.members("variables", "Input", report);
    members.into_iter().map(|(name, input)| (name.to_owned(), read(&input, report))).collect()
}

/// Checks a list of named inputs (headers, environment variables) and answers with the names.
pub(super) fn named<'a>(object: &Object<'a>, field: &str, report: &mut Report) -> Vec<&'a str> {
    let mut names = Vec::new();
    for input in object.objects(field, "KeyValueInput", report) {
        input.require("name", report);
        names.extend(input.text("name", report));
        read(&input, report);
        variables(&input, report);
    }
    names
}

/// Checks a list of arguments and answers with the names by which a URL may refer to their values.
pub(super) fn arguments<'a>(object: &Object<'a>, field: &str, report: &mut Report) -> Vec<&'a str> {
    let mut names = Vec::new();
    for argument in object.objects(field, "Argument", report) {
        read(&argument, report);
        variables(&argument, report);
        argument.flag("isRepeated", report);
        argument.require("type", report);
        let (name, hint) = (argument.text("name", report), argument.text("valueHint", report));
        match argument.one_of("type", &["positional", "named"], report) {
            Some("named") => check_flag(&argument, name, report),
            Some(_) => check_positional(&argument, report),
            None => {}
        }
        names.extend(name.into_iter().chain(hint));
    }
    names
}

fn check_flag(argument: &Object<'_>, name: Option<&str>, report: &mut Report) {
    argument.require("name", report);
    let Some(name) = name else { return };
    if name.is_empty() || name.contains(['<', '>', ' ', '$']) {
        let message =
            "a named argument's name is the bare flag, such as `--port`; its value goes into `value`";
        report.refuse(Issue::semantic(&argument.at("name"), "invalid-named-argument-name", message));
        return;
    }
    for field in ["value", "default"] {
        let text = argument.value(field).and_then(|value| value.as_str());
        if text.is_some_and(|text| text.starts_with(name)) {
            let message = format!("must not repeat the argument's name `{name}`");
            report.refuse(Issue::semantic(&argument.at(field), "argument-value-starts-with-name", message));
        }
    }
}

fn check_positional(argument: &Object<'_>, report: &mut Report) {
    if argument.value("value").or(argument.value("valueHint")).is_none() {
        let rule = "positional-argument-value-or-hint-required";
        let message = "a positional argument needs `value` or `valueHint`";
        report.refuse(Issue::semantic(argument.path(), rule, message));
    }
}
