//! `audit verify`: whether the chain is what it was.

use super::chain::{Chain, Shown};
use super::live::{self, Authority, unsigned};
use super::saved::Saved;
use crate::audit_head::{AuditHead, Signed};
use crate::cli::session::Session;
use crate::cli::{Failure, Remote, authority, output, publish, table};
use crate::clock;
use hapi_descriptor::Refusal;
use serde_json::{Value, json};
use std::path::PathBuf;

const FIELDS: &[table::Column] = &[
    ("records", "/records"),
    ("first index", "/first"),
    ("last index", "/last"),
    ("head", "/head"),
    ("signed by node", "/node"),
    ("with key", "/kid"),
    ("signed at", "/iat"),
    ("and as in", "/against"),
];

/// How old a head of a running node may be, in seconds: more, and somebody shows an old one, or clocks differ widely.
const FRESH: u64 = 300;

/// Recompute the audit chain here, and check it by the signed head; the first record that is not as it was is named.
///
/// Reads all records from a node, or from a file that `audit export` has made; what was altered, removed, inserted or
/// reordered ends in exit code 1. A node that gives out another history with hashes and a head of its own can only be
/// found out by what was kept before: `--against`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hapi-registry audit verify --against audit-2026-11.jsonl --token-file auditor.token
      Whether the chain holds, and still begins with what was exported then.")]
pub(crate) struct Verify {
    /// A file that `audit export` has made, instead of what the nodes give out
    file: Option<PathBuf>,
    /// An earlier export, or an earlier signed head, with which the chain must still begin
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// The key set as a file, instead of what the nodes publish
    #[arg(long, value_name = "FILE", requires = "issuer")]
    jwks: Option<PathBuf>,
    /// The issuer that must have signed the head
    #[arg(long, value_name = "URL", requires = "jwks")]
    issuer: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl Verify {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let session = self.remote.session()?;
        let mut source = Source::open(&self, &session).await?;
        // Behind the head: a key that is newer than the set would be unknown.
        let authority = self.authority(&session).await?;
        let signed = source.head(&authority)?;
        source.seek(&signed.head);
        let mut earlier = self.against.as_deref().map(|path| Earlier::open(path, &authority)).transpose()?;
        let mut chain = Chain::default();
        while let Some(record) = source.next().await? {
            if let Some(earlier) = &mut earlier {
                earlier.compare(&record, &chain)?;
            }
            chain.push(record);
        }
        let rewritten = earlier.as_mut().map(|earlier| earlier.end(&chain)).transpose()?.flatten();
        let broken = chain.end(&signed.head).err();
        let said: Vec<_> = rewritten.into_iter().chain(broken).collect();
        if !said.is_empty() {
            return Err(bad(&said.join("\n"), self.against.is_some()));
        }
        session
            .show(&self.shown(&signed), |answer| format!("{}the chain holds", table::fields(FIELDS, answer)))
    }

    async fn authority(&self, session: &Session) -> Result<Authority, Failure> {
        match (&self.jwks, &self.issuer) {
            (Some(file), Some(issuer)) => {
                let keys = authority::parse(&publish::read(file)?)?;
                Ok(Authority { keys, issuer: issuer.clone() })
            }
            _ => Authority::of(session).await,
        }
    }

    fn shown(&self, Signed { head, kid }: &Signed) -> Value {
        let mut shown = json!(head);
        (shown["valid"], shown["kid"]) = (true.into(), kid.as_str().into());
        if let Some(path) = &self.against {
            shown["against"] = json!(path);
        }
        shown
    }
}

fn bad(said: &str, was_compared: bool) -> Failure {
    let failure = Failure::refused(said);
    if was_compared {
        failure
    } else {
        failure.hint("an earlier export tells exactly what is another now: --against FILE")
    }
}

/// Where records come from.
enum Source<'a> {
    Nodes { session: &'a Session, text: String, pages: Option<live::Pages<'a>> },
    File(Saved),
}

impl<'a> Source<'a> {
    async fn open(verify: &Verify, session: &'a Session) -> Result<Self, Failure> {
        match &verify.file {
            Some(path) => Ok(Self::File(Saved::open(path)?)),
            None => {
                let text = session.text("/v1/audit/head").await?;
                Ok(Self::Nodes { session, text, pages: None })
            }
        }
    }

    fn head(&self, authority: &Authority) -> Result<Signed, Failure> {
        let (text, is_live) = match self {
            Self::Nodes { text, .. } => (Some(text), true),
            Self::File(saved) => (saved.head.as_ref(), false),
        };
        let text = text.ok_or_else(|| {
            Failure::refused(
                "the file has no signed head: whoever changed a record could have made all hashes anew",
            )
            .hint("`audit export` saves the records with their head")
        })?;
        let signed = authority.read(text).map_err(|refusal| unsigned(refusal, "the signed head"))?;
        if is_live && signed.head.iat.abs_diff(clock::now().seconds()) > FRESH {
            return Err(Failure::refused(format!(
                "the head was signed at {} s since 1970, which is not now: it may hide what came after",
                signed.head.iat
            )));
        }
        Ok(signed)
    }

    fn seek(&mut self, head: &AuditHead) {
        if let Self::Nodes { session, pages, .. } = self {
            *pages = Some(live::Pages::up_to(session, head));
        }
    }

    async fn next(&mut self) -> Result<Option<Shown>, Failure> {
        match self {
            Self::File(saved) => saved.next(),
            Self::Nodes { pages: None, .. } => Ok(None),
            Self::Nodes { pages: Some(pages), .. } => match pages.next().await? {
                None => Ok(None),
                Some(record) => Shown::new(record)
                    .map(Some)
                    .ok_or_else(|| Failure::refused("the node gives out what is no record with a hash")),
            },
        }
    }
}

/// What was kept of the chain before.
struct Earlier {
    saved: Saved,
    name: String,
    /// Its head, if it has one.
    head: Option<AuditHead>,
    /// What was found to be another.
    found: Option<String>,
}

impl Earlier {
    fn open(path: &std::path::Path, authority: &Authority) -> Result<Self, Failure> {
        let (saved, name) = (Saved::open(path)?, path.display().to_string());
        let read = saved.head.as_deref().map(|text| authority.read(text)).transpose();
        let head = match read {
            Ok(signed) => signed.map(|signed| signed.head),
            // Whoever kept records believes the file; its key may be gone since.
            Err(Refusal::UnknownKey) if !saved.is_head_alone => {
                output::note(&format!("the key that signed the head in {name} is not published any more"));
                None
            }
            Err(refusal) => return Err(unsigned(refusal, &format!("the head in {name}"))),
        };
        Ok(Self { saved, name, head, found: None })
    }

    /// Takes the next record, which comes behind `chain`.
    fn compare(&mut self, record: &Shown, chain: &Chain) -> Result<(), Failure> {
        self.at_head(chain);
        if self.found.is_some() || self.saved.is_head_alone {
            return Ok(());
        }
        if let Some(then) = self.saved.next()?.filter(|then| then != record) {
            self.found = Some(format!(
                "history was rewritten: record {} is the first that is not as in {}, where record {} stands",
                record.index, self.name, then.index
            ));
        }
        Ok(())
    }

    /// What was found once all records have been compared.
    fn end(&mut self, chain: &Chain) -> Result<Option<String>, Failure> {
        self.at_head(chain);
        if self.found.is_none()
            && !self.saved.is_head_alone
            && let Some(then) = self.saved.next()?
        {
            self.found = Some(format!("record {}, which is in {}, was removed", then.index, self.name));
        }
        if let Some(head) = self.head.take() {
            let (records, name) = (head.records, &self.name);
            self.found.get_or_insert_with(|| {
                format!("the head in {name} was signed with {records} records, and fewer are left")
            });
        }
        Ok(self.found.take())
    }

    /// Compares with the head, where the chain has come to it.
    fn at_head(&mut self, chain: &Chain) {
        let Some(head) = &self.head else { return };
        match chain.agrees(head) {
            None => return,
            Some(true) => {}
            Some(false) => {
                let text = format!(
                    "history was rewritten: up to index {} it is not what the head in {} says",
                    head.last, self.name
                );
                self.found.get_or_insert(text);
            }
        }
        self.head = None;
    }
}
