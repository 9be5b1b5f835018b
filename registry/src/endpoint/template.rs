//! URL templates: a URL in which `{placeholders}` stand for values that the client gives.

use super::pattern::{Pattern, Piece};
use super::{
    Endpoint, MAX_URL_BYTES, UrlError, check_public, check_text, end_of_origin, escape, normalise_escapes,
    origin, parse_absolute, unescape,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use url::{Position, Url};

/// The most origins that one template may combine to: each is parsed, kept and indexed.
const MAX_ORIGINS: usize = 64;

/// The most placeholders of one template. Each may carry a copy of its variable's choices, and each makes
/// matching dearer.
const MAX_PLACEHOLDERS: usize = 16;

/// Stands for a placeholder while the `url` crate normalises the text around it. It cannot be confused
/// with the text: an escaped NUL is refused there.
const MARK: &str = "%00";

/// What the publisher says of one placeholder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// The only values that are allowed; empty: any value is.
    pub choices: Vec<String>,
    /// The value where the client gives none.
    pub default: Option<String>,
    /// Whether clients must ask their user for it.
    pub is_required: bool,
    /// Whether clients must hide it.
    pub is_secret: bool,
}

/// A URL template that was admitted: absolute, without user information and fragment, with balanced
/// braces, and with every placeholder declared.
///
/// A placeholder stands in the path or query. In the scheme or host it may only stand if its variable
/// lists its choices, so that the origins a template can lead to are known when it is published.
///
/// What was admitted once stays admitted: data that is read back is not judged again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlTemplate {
    text: String,
    parts: Vec<Part>,
    pattern: Pattern,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Part {
    Literal(String),
    Placeholder(String),
}

/// Why values do not make a URL of a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum ExpandError {
    #[error("the variable `{name}` needs a value")]
    Missing { name: String },
    #[error("the server declares no variable `{name}`")]
    NotDeclared { name: String },
    #[error("the variable `{name}` must be one of: {}", choices.join(", "))]
    NotAChoice { name: String, choices: Vec<String> },
    #[error("the variable `{name}` must not be `.` or `..`")]
    DotSegment { name: String },
    #[error("the values make the URL longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    #[error("the values lead to a URL that the template does not describe")]
    Elsewhere,
}

impl UrlTemplate {
    /// Admits `text` with the variables that its publisher declares.
    ///
    /// `allow_insecure` also admits plain `http` and the machine itself as host, for development.
    pub fn parse(
        text: &str,
        declared: &BTreeMap<String, Variable>,
        allow_insecure: bool,
    ) -> Result<Self, UrlError> {
        check_text(text)?;
        check_placeholders(text)?;
        let (head, tail) = text.split_at(end_of_origin(text)?);
        let (mut parts, tail_parts) = (split(head)?, split(tail)?);
        let origins = origins(&parts, declared, allow_insecure)?;
        let pieces = pieces(tail, &tail_parts, declared)?;
        parts.extend(tail_parts);
        Ok(Self { text: text.into(), parts, pattern: Pattern { origins, pieces } })
    }

    /// The template as its publisher wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there is nothing to fill in.
    pub fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// The one endpoint of a template without placeholders.
    pub fn literal(&self) -> Option<Endpoint> {
        match (&self.pattern.origins[..], &self.pattern.pieces[..]) {
            ([origin], [Piece::Literal(tail)]) if self.is_literal() => {
                Some(Endpoint { written: self.text.clone(), normalised: format!("{origin}{tail}") })
            }
            _ => None,
        }
    }

    /// Fills in `variables`, or defaults where a value is missing or empty.
    ///
    /// Every value is percent-encoded but for unreserved characters (RFC 3986 §2.3), so that it ends
    /// no path segment and begins no query. The result has one of [`Self::origin_choices`] and keeps the
    /// template's path around its values.
    pub fn expand(
        &self,
        variables: &BTreeMap<String, String>,
        declared: &BTreeMap<String, Variable>,
    ) -> Result<Endpoint, ExpandError> {
        if let Some(name) = variables.keys().find(|name| !declared.contains_key(*name)) {
            return Err(ExpandError::NotDeclared { name: name.clone() });
        }
        if let Some(endpoint) = self.literal() {
            return Ok(endpoint);
        }
        let written = self.fill(|name| value(name, variables.get(name), declared.get(name)))?;
        let endpoint = Endpoint::parse(&written).map_err(|error| match error {
            UrlError::TooLong(_) => ExpandError::TooLong,
            _ => ExpandError::Elsewhere,
        })?;
        // Escaping leaves no way out of the template. This holds it to that, by the judgement of the parser
        // that other programs use.
        if self.matches(&endpoint) { Ok(endpoint) } else { Err(ExpandError::Elsewhere) }
    }

    /// Whether some values make this template become `endpoint`.
    pub fn matches(&self, endpoint: &Endpoint) -> bool {
        self.pattern.matches(endpoint)
    }

    /// Values with which [`Self::expand`] makes `endpoint` of this template, if there are any. Where defaults
    /// would do they are given all the same.
    pub(crate) fn values(
        &self,
        endpoint: &Endpoint,
        declared: &BTreeMap<String, Variable>,
    ) -> Option<BTreeMap<String, String>> {
        let (head, tail) = self.text.split_at(end_of_origin(&self.text).ok()?);
        let tail_names = names(&split(tail).ok()?);
        let rest = endpoint.normalised().strip_prefix(endpoint.origin())?;
        let escaped = self.pattern.read(rest)?;
        let read: Vec<_> = escaped.into_iter().map(unescape).collect::<Option<_>>()?;
        let heads = filled_heads(&split(head).ok()?, declared);
        let on_origin = |text: &str| parse_absolute(text).is_ok_and(|url| origin(&url) == endpoint.origin());
        let mut fitting = heads.into_iter().filter(|(text, _)| on_origin(text)).map(|(_, values)| values);
        fitting.find_map(|values| joined(values, &tail_names, &read))
    }

    /// The normalised origins, such as `https://example.com`, that expansions can have: one, unless
    /// placeholders with choices stand in the scheme or host.
    pub fn origin_choices(&self) -> &[String] {
        &self.pattern.origins
    }

    fn fill<'a, E>(&'a self, mut value: impl FnMut(&'a str) -> Result<String, E>) -> Result<String, E> {
        let text = |part: &'a Part| match part {
            Part::Literal(text) => Ok(text.clone()),
            Part::Placeholder(name) => value(name),
        };
        self.parts.iter().map(text).collect()
    }
}

fn check_placeholders(text: &str) -> Result<(), UrlError> {
    match text.matches('{').count() {
        0..=MAX_PLACEHOLDERS => Ok(()),
        _ => Err(UrlError::TooManyPlaceholders(MAX_PLACEHOLDERS)),
    }
}

/// The escaped value of one placeholder.
fn value(name: &str, given: Option<&String>, declared: Option<&Variable>) -> Result<String, ExpandError> {
    let default = declared.and_then(|variable| variable.default.as_ref());
    // An empty value would empty a segment of the path; it counts as none.
    let value = given.filter(|value| !value.is_empty()).or(default).filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| ExpandError::Missing { name: name.into() })?;
    let choices = declared.map_or(&[][..], |variable| &variable.choices);
    if !choices.is_empty() && !choices.contains(value) {
        return Err(ExpandError::NotAChoice { name: name.into(), choices: choices.to_vec() });
    }
    match &**value {
        "." | ".." => Err(ExpandError::DotSegment { name: name.into() }),
        _ => Ok(escape(value)),
    }
}

/// The names of the placeholders of any URL template.
pub(crate) fn placeholders(text: &str) -> Result<Vec<String>, UrlError> {
    Ok(names(&split(text)?))
}

fn names(parts: &[Part]) -> Vec<String> {
    let name = |part: &Part| match part {
        Part::Placeholder(name) => Some(name.clone()),
        Part::Literal(_) => None,
    };
    parts.iter().filter_map(name).collect()
}

/// Every text that scheme and host can become, with the choices that make it. They are few: see [`MAX_ORIGINS`].
fn filled_heads(
    head: &[Part],
    declared: &BTreeMap<String, Variable>,
) -> Vec<(String, BTreeMap<String, String>)> {
    let mut heads = vec![(String::new(), BTreeMap::new())];
    for part in head {
        let extended = |(text, values): &(String, BTreeMap<String, String>)| match part {
            Part::Literal(literal) => vec![(format!("{text}{literal}"), values.clone())],
            Part::Placeholder(name) => chosen(text, values, name, declared),
        };
        heads = heads.iter().flat_map(extended).collect();
    }
    heads
}

/// One head for each choice of `name`; of a name that stood before, for that choice alone.
fn chosen(
    text: &str,
    values: &BTreeMap<String, String>,
    name: &str,
    declared: &BTreeMap<String, Variable>,
) -> Vec<(String, BTreeMap<String, String>)> {
    let choices = declared.get(name).map_or(&[][..], |variable| &variable.choices);
    let open = choices.iter().filter(|choice| values.get(name).is_none_or(|chosen| chosen == *choice));
    let head = |choice: &String| {
        let mut values = values.clone();
        values.insert(name.to_owned(), choice.clone());
        (format!("{text}{}", escape(choice)), values)
    };
    open.map(head).collect()
}

/// The values of head and tail together, unless a name would have two.
fn joined(
    mut values: BTreeMap<String, String>,
    names: &[String],
    read: &[String],
) -> Option<BTreeMap<String, String>> {
    for (name, value) in names.iter().zip(read) {
        if values.insert(name.clone(), value.clone()).is_some_and(|former| former != *value) {
            return None;
        }
    }
    Some(values)
}

fn split(text: &str) -> Result<Vec<Part>, UrlError> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((literal, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or(UrlError::Braces)?;
        parts.extend([literal_part(literal)?, Part::Placeholder(placeholder_name(name)?)]);
        rest = after;
    }
    parts.push(literal_part(rest)?);
    Ok(parts)
}

fn literal_part(text: &str) -> Result<Part, UrlError> {
    if text.contains('}') { Err(UrlError::Braces) } else { Ok(Part::Literal(text.into())) }
}

fn placeholder_name(name: &str) -> Result<String, UrlError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !name.is_empty() && name.bytes().all(allowed) { Ok(name.into()) } else { Err(UrlError::Braces) }
}

fn origins(
    head: &[Part],
    declared: &BTreeMap<String, Variable>,
    allow_insecure: bool,
) -> Result<Vec<String>, UrlError> {
    let mut origins = Vec::new();
    for text in combinations(head, declared)? {
        check_text(&text)?;
        let url = parse_absolute(&text)?;
        if !allow_insecure {
            check_public(&url)?;
        }
        origins.push(origin(&url));
    }
    origins.sort();
    origins.dedup();
    Ok(origins)
}

/// Every text that scheme and host can become by their variables' choices.
fn combinations(head: &[Part], declared: &BTreeMap<String, Variable>) -> Result<Vec<String>, UrlError> {
    let mut texts = vec![String::new()];
    for part in head {
        let choices = match part {
            Part::Literal(text) => vec![text.clone()],
            Part::Placeholder(name) => host_choices(name, declared)?,
        };
        if texts.len() * choices.len() > MAX_ORIGINS {
            return Err(UrlError::TooManyOrigins(MAX_ORIGINS));
        }
        let extended =
            |text: &String| choices.iter().map(|choice| format!("{text}{choice}")).collect::<Vec<_>>();
        texts = texts.iter().flat_map(extended).collect();
    }
    Ok(texts)
}

fn host_choices(name: &str, declared: &BTreeMap<String, Variable>) -> Result<Vec<String>, UrlError> {
    let variable = declared.get(name).ok_or_else(|| UrlError::Undeclared(name.into()))?;
    if variable.choices.is_empty() {
        return Err(UrlError::NeedsChoices(name.into()));
    }
    Ok(variable.choices.iter().map(|choice| escape(choice)).collect())
}

/// Path and query as they look after normalisation, with a piece for each placeholder.
fn pieces(tail: &str, parts: &[Part], declared: &BTreeMap<String, Variable>) -> Result<Vec<Piece>, UrlError> {
    let mut values = Vec::new();
    for part in parts {
        if let Part::Placeholder(name) = part {
            let variable = declared.get(name).ok_or_else(|| UrlError::Undeclared(name.clone()))?;
            values.push(Piece::placeholder(&variable.choices));
        }
    }
    if !values.is_empty() && has_dot_segment(tail) {
        return Err(UrlError::DotSegment);
    }
    let normal = normalised_tail(parts)?;
    let mut literals = normal.split(MARK).map(|text| Piece::Literal(text.into()));
    let mut pieces: Vec<_> = literals.next().into_iter().collect();
    for (value, literal) in values.into_iter().zip(literals) {
        pieces.extend([value, literal]);
    }
    Ok(pieces)
}

fn normalised_tail(parts: &[Part]) -> Result<String, UrlError> {
    let text = |part: &Part| match part {
        Part::Literal(text) => text.clone(),
        Part::Placeholder(_) => MARK.to_owned(),
    };
    let tail: String = parts.iter().map(text).collect();
    // Any origin does: only what stands after it is looked at.
    let url = Url::parse(&format!("https://example.com{tail}"))?;
    Ok(normalise_escapes(&url[Position::BeforePath..]))
}

/// Whether a URL parser would take a segment of the path away, and perhaps the one before it.
fn has_dot_segment(text: &str) -> bool {
    let path = text.split('?').next().unwrap_or_default();
    path.split('/').map(normalise_escapes).any(|segment| segment == "." || segment == "..")
}
