//! One line of a script: `verb word word option=value by actor`.

/// A line, of which each part is taken once. What nobody takes is a mistake in the page.
#[derive(Debug)]
pub(crate) struct Line {
    text: String,
    words: Vec<String>,
    options: Vec<(String, String)>,
    by: Option<String>,
}

impl Line {
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = split(text);
        let by = match parts.iter().position(|part| part == "by") {
            Some(at) => parts.drain(at..).nth(1),
            None => None,
        };
        let (options, words) = parts.into_iter().partition::<Vec<_>, _>(|part| option(part).is_some());
        let options = options.iter().filter_map(|part| option(part)).collect();
        Self { text: text.into(), words, options, by }
    }

    /// Who acts.
    pub(crate) fn by(&self) -> &str {
        self.by.as_deref().unwrap_or_else(|| panic!("`{}` does not say by whom", self.text))
    }

    /// The next word.
    pub(crate) fn word(&mut self) -> String {
        assert!(!self.words.is_empty(), "`{}` lacks a word", self.text);
        self.words.remove(0)
    }

    /// The next word, parsed.
    pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self) -> T {
        let word = self.word();
        word.parse().unwrap_or_else(|error| panic!("`{}`: `{word}`: {error}", self.text))
    }

    /// Whether there is a next word.
    pub(crate) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// Whether `word` stands anywhere.
    pub(crate) fn flag(&mut self, word: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|other| other != word);
        self.words.len() < before
    }

    /// Whether `word` comes next.
    pub(crate) fn flag_next(&mut self, word: &str) -> bool {
        let is_next = self.words.first().is_some_and(|next| next == word);
        if is_next {
            self.words.remove(0);
        }
        is_next
    }

    /// The value of an option that is there at most once.
    pub(crate) fn option(&mut self, key: &str) -> Option<String> {
        let at = self.options.iter().position(|(other, _)| other == key)?;
        Some(self.options.remove(at).1)
    }

    /// The comma-separated values of an option.
    pub(crate) fn list(&mut self, key: &str) -> Option<Vec<String>> {
        self.option(key).map(|text| text.split(',').map(str::to_owned).collect())
    }

    /// Every option whose key begins with `prefix`, which is taken off.
    pub(crate) fn options(&mut self, prefix: &str) -> Vec<(String, String)> {
        let (taken, rest) = self.options.drain(..).partition(|(key, _)| key.starts_with(prefix));
        self.options = rest;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(key, value)| (key[prefix.len()..].to_owned(), value)).collect()
    }

    /// Asserts that everything was understood.
    pub(crate) fn end(self) {
        assert!(
            self.words.is_empty() && self.options.is_empty(),
            "`{}`: not understood: {:?} {:?}",
            self.text,
            self.words,
            self.options
        );
    }
}

/// `key=value`, if the key looks like one: a URL with a query is a word.
fn option(part: &str) -> Option<(String, String)> {
    let (key, value) = part.split_once('=')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:".contains(&byte);
    key.bytes().all(plain).then(|| (key.to_owned(), value.to_owned()))
}

/// Words between spaces; double quotes hold words together.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
    for character in text.chars() {
        match character {
            '"' => quoted = !quoted,
            ' ' if !quoted => parts.push(std::mem::take(&mut part)),
            _ => part.push(character),
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}
