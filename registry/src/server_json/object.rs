//! One object of the document, read field by field. Each reader notes what the JSON schema refuses and
//! answers with what can be used, so that one pass finds every issue.

use super::{Issue, rules::Report};
use serde_json::{Map, Value};

/// An object, the path by which issues name it, and its definition in the JSON schema.
pub(super) struct Object<'a> {
    fields: &'a Map<String, Value>,
    path: String,
    definition: &'static str,
}

impl<'a> Object<'a> {
    pub(super) fn root(fields: &'a Map<String, Value>) -> Self {
        Self { fields, path: String::new(), definition: "ServerDetail" }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Where issues say that `field` stands.
    pub(super) fn at(&self, field: &str) -> String {
        if self.path.is_empty() { field.into() } else { format!("{}.{field}", self.path) }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.fields.keys().map(String::as_str)
    }

    pub(super) fn value(&self, field: &str) -> Option<&'a Value> {
        self.fields.get(field)
    }

    /// Notes that `field` is missing, if it is.
    pub(super) fn require(&self, field: &str, report: &mut Report) {
        if !self.fields.contains_key(field) {
            let rule = format!("#/definitions/{}/required", self.definition);
            report.refuse(Issue::schema(&self.at(field), rule, format!("`{field}` is required")));
        }
    }

    pub(super) fn text(&self, field: &str, report: &mut Report) -> Option<&'a str> {
        let value = self.fields.get(field)?;
        if value.as_str().is_none() {
            self.breach(field, "type", "must be a string", report);
        }
        value.as_str()
    }

    /// A text of 1 to `max` characters. One that is out of bounds is given back all the same.
    pub(super) fn bounded_text(&self, field: &str, max: usize, report: &mut Report) -> Option<&'a str> {
        let text = self.text(field, report)?;
        let length = text.chars().count();
        if length == 0 {
            self.breach(field, "minLength", "must not be empty", report);
        }
        if length > max {
            let message = format!("must have at most {max} characters, this one has {length}");
            self.breach(field, "maxLength", &message, report);
        }
        Some(text)
    }

    pub(super) fn one_of(&self, field: &str, allowed: &[&str], report: &mut Report) -> Option<&'a str> {
        let text = self.text(field, report)?;
        if allowed.contains(&text) {
            return Some(text);
        }
        self.breach(field, "enum", &format!("must be one of: {}", allowed.join(", ")), report);
        None
    }

    pub(super) fn flag(&self, field: &str, report: &mut Report) -> bool {
        let Some(value) = self.fields.get(field) else { return false };
        if !value.is_boolean() {
            self.breach(field, "type", "must be true or false", report);
        }
        value == &Value::Bool(true)
    }

    pub(super) fn texts(&self, field: &str, report: &mut Report) -> Vec<&'a str> {
        let items = self.items(field, report);
        let texts: Vec<_> = items.iter().filter_map(Value::as_str).collect();
        if texts.len() < items.len() {
            self.breach(field, "items/type", "must hold nothing but strings", report);
        }
        texts
    }

    pub(super) fn object(
        &self,
        field: &str,
        definition: &'static str,
        report: &mut Report,
    ) -> Option<Object<'a>> {
        let value = self.fields.get(field)?;
        let Value::Object(fields) = value else {
            self.breach(field, "type", "must be an object", report);
            return None;
        };
        Some(Object { fields, path: self.at(field), definition })
    }

    pub(super) fn objects(
        &self,
        field: &str,
        definition: &'static str,
        report: &mut Report,
    ) -> Vec<Object<'a>> {
        let mut objects = Vec::new();
        for (index, item) in self.items(field, report).iter().enumerate() {
            let path = format!("{}[{index}]", self.at(field));
            match item {
                Value::Object(fields) => objects.push(Object { fields, path, definition }),
                _ => {
                    let rule = format!("#/definitions/{definition}/type");
                    report.refuse(Issue::schema(&path, rule, "must be an object"));
                }
            }
        }
        objects
    }

    /// The members of an object whose keys are free names.
    pub(super) fn members(
        &self,
        field: &str,
        definition: &'static str,
        report: &mut Report,
    ) -> Vec<(&'a str, Object<'a>)> {
        let Some(map) = self.object(field, definition, report) else { return Vec::new() };
        map.keys().filter_map(|name| Some((name, map.object(name, definition, report)?))).collect()
    }

    fn items(&self, field: &str, report: &mut Report) -> &'a [Value] {
        match self.fields.get(field) {
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.breach(field, "type", "must be an array", report);
                &[]
            }
            None => &[],
        }
    }

    /// Notes that the value of `field` breaks the schema's `keyword`.
    pub(super) fn breach(&self, field: &str, keyword: &str, message: &str, report: &mut Report) {
        let rule = format!("#/definitions/{}/properties/{field}/{keyword}", self.definition);
        report.refuse(Issue::schema(&self.at(field), rule, message));
    }
}
