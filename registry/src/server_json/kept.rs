//! A document as the registry keeps it. A catalog has very many, and most are looked at rarely: all that is asked for in
//! decisions stands ready, the text is compressed.

use super::{ConnectMetadata, Contents, Facts, Remote, ServerJson, Transport};
use crate::{name::ServerName, version::Version};
use bincode::config::{Configuration, standard};
use lz4_flex::block;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc};

/// What documents have in common, as it stands in them, so that a short text too has something to refer to. It never
/// leaves the process: the log and snapshots carry the texts themselves, and any other phrases would do. Those that are
/// likeliest stand last, where they are nearest.
const PHRASES: &[u8] = br#","headers":[{"description":"","isRequired":true,"isSecret":true,"name":"Authorization","value":"Bearer {"icons":[{"mimeType":"image/png","sizes":["48x48"],"src":"https://raw.githubusercontent.com/","theme":"light"}],"packageArguments":[{"default":"","format":"string","type":"positional","valueHint":""},{"type":"named"}],"runtimeArguments":[{"type":"named"}],"environmentVariables":[{"description":"API key for ","format":"string","isRequired":true,"isSecret":true,"name":"API_KEY"},{"isSecret":false,"isRequired":false,"default":""}],"packages":[{"fileSha256":"","identifier":"https://github.com/","registryBaseUrl":"https://pypi.org","registryType":"pypi","runtimeHint":"uvx","registryBaseUrl":"https://registry.npmjs.org","registryType":"npm","runtimeHint":"npx","identifier":"ghcr.io/","registryType":"oci","identifier":"docker.io/","registryType":"mcpb","transport":{"type":"stdio"},"version":"1.0.0"}],"_meta":{"io.modelcontextprotocol.registry/publisher-provided":{"choices":[""],"variables":{"websiteUrl":"https://","remotes":[{"type":"sse","url":"https://.com/sse"},{"type":"streamable-http","url":"https://.com/mcp"}],"repository":{"id":"","source":"github","subfolder":"","url":"https://github.com/"},"title":"","version":"0.1.0","{"$schema":"https://static.modelcontextprotocol.io/schemas/2025-09-29/server.schema.json","$schema":"https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json","description":"MCP server for the Model Context Protocol that ","name":"io.github."#;

const CONFIG: Configuration = standard();

/// Two lengths.
const HEAD: usize = 8;

/// A [`ServerJson`] put away: about half of its text in memory. A clone shares it.
///
/// It is written and read like the document itself.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptServerJson {
    name: ServerName,
    version: Version,
    is_streamable: bool,
    /// The lengths of [`Ready`], and of [`Put`] before it was compressed, as [`HEAD`] bytes; then [`Ready`], and [`Put`] as
    /// a block of LZ4. So the text is read without what stands ready, and the other way round.
    packed: Arc<[u8]>,
}

/// What is read without unpacking the text.
#[derive(Serialize, Deserialize)]
struct Ready {
    endpoints: Endpoints,
    immutable_digest: [u8; 32],
    has_packages: bool,
}

/// Where clients go, and how they recognise the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    pub(crate) remotes: Vec<Remote>,
    pub(crate) connect: ConnectMetadata,
}

/// The rest. Title and description stand in the text as well, and so take hardly any room.
#[derive(Serialize, Deserialize)]
struct Put<'a> {
    #[serde(borrow)]
    title: Option<&'a str>,
    description: &'a str,
    raw: &'a str,
}

impl KeptServerJson {
    /// Puts `document` away.
    pub fn new(document: &ServerJson) -> Self {
        let Contents { raw, facts, .. } = &*document.0;
        let put = encoded(&Put { title: facts.title.as_deref(), description: &facts.description, raw });
        let ready = encoded(&((&facts.remotes, &facts.connect), &facts.immutable_digest, facts.has_packages));
        let block = block::compress_with_dict(&put, PHRASES);
        let packed = [&length(&ready)[..], &length(&put), &ready, &block].concat();
        Self {
            name: facts.name.clone(),
            version: facts.version.clone(),
            is_streamable: facts.remotes.iter().any(|remote| remote.transport == Transport::StreamableHttp),
            packed: packed.into(),
        }
    }

    /// The document itself.
    pub fn open(&self) -> ServerJson {
        let (ready, text) = (self.ready(), self.unpacked());
        let put = put(&text);
        let facts = Facts {
            name: self.name.clone(),
            version: self.version.clone(),
            title: put.title.map(str::to_owned),
            description: put.description.to_owned(),
            remotes: ready.endpoints.remotes,
            has_packages: ready.has_packages,
            connect: ready.endpoints.connect,
            immutable_digest: ready.immutable_digest,
        };
        let sha256 = Sha256::digest(put.raw.as_bytes()).into();
        ServerJson(Arc::new(Contents { raw: put.raw.into(), sha256, facts }))
    }

    /// The server's name.
    pub fn name(&self) -> &ServerName {
        &self.name
    }

    /// The version that the document describes.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The text, exactly as it was given.
    pub fn raw(&self) -> String {
        put(&self.unpacked()).raw.to_owned()
    }

    /// Title and description, where words are looked for.
    pub(crate) fn words(&self) -> (Option<String>, String) {
        let text = self.unpacked();
        let put = put(&text);
        (put.title.map(str::to_owned), put.description.to_owned())
    }

    /// The remotes that can be connected to, in the document's order.
    pub fn remotes(&self) -> Vec<Remote> {
        self.endpoints().remotes
    }

    pub(crate) fn endpoints(&self) -> Endpoints {
        self.ready().endpoints
    }

    /// Whether a remote speaks streamable HTTP: only such are connected to.
    pub(crate) fn is_streamable(&self) -> bool {
        self.is_streamable
    }

    /// See [`ServerJson::immutable_digest`].
    pub fn immutable_digest(&self) -> [u8; 32] {
        self.ready().immutable_digest
    }

    /// Takes `name`, which says the same, so that all versions of a server share it.
    pub(crate) fn share_name(&mut self, name: &ServerName) {
        debug_assert_eq!(self.name, *name, "another server's name");
        self.name = name.clone();
    }

    /// No fewer bytes than the document has where it is written, found without unpacking it.
    pub(crate) fn written_at_most(&self) -> usize {
        let [ready, put] = self.lengths();
        // Beside both stand name and version, a hash, and the lengths of texts.
        ready + put + self.name.as_str().len() + self.version.as_str().len() + 128
    }

    fn lengths(&self) -> [usize; 2] {
        let number = |at: usize| {
            self.packed[at..at + 4].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        [number(0), number(4)]
    }

    #[expect(clippy::expect_used, reason = "what was packed by this process is unpacked by it")]
    fn ready(&self) -> Ready {
        let (ready, _) =
            bincode::serde::decode_from_slice(&self.packed[HEAD..], CONFIG).expect("it was encoded here");
        ready
    }

    /// For [`put`].
    #[expect(clippy::expect_used, reason = "what was packed by this process is unpacked by it")]
    fn unpacked(&self) -> Vec<u8> {
        let [ready, length] = self.lengths();
        let block = &self.packed[HEAD + ready..];
        block::decompress_with_dict(block, length, PHRASES).expect("it was compressed here")
    }
}

#[expect(clippy::expect_used, reason = "what was packed by this process is unpacked by it")]
fn put(unpacked: &[u8]) -> Put<'_> {
    let (put, _) = bincode::serde::borrow_decode_from_slice(unpacked, CONFIG).expect("it was encoded here");
    put
}

/// A document has 256 KiB at most, and what is read out of it far less than 4 GiB.
#[expect(clippy::expect_used, reason = "a document is bounded where it is parsed")]
fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("it is short").to_le_bytes()
}

#[expect(clippy::expect_used, reason = "every field has a bincode form, and writing to memory cannot fail")]
fn encoded(value: &impl Serialize) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, CONFIG).expect("it encodes")
}

impl From<&ServerJson> for KeptServerJson {
    fn from(document: &ServerJson) -> Self {
        Self::new(document)
    }
}

impl PartialEq<ServerJson> for KeptServerJson {
    fn eq(&self, document: &ServerJson) -> bool {
        *self == Self::new(document)
    }
}

/// In the form of bincode, which knows no names of fields.
impl Serialize for KeptServerJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (ready, text) = (self.ready(), self.unpacked());
        let (put, endpoints) = (put(&text), &ready.endpoints);
        let sha256: [u8; 32] = Sha256::digest(put.raw.as_bytes()).into();
        let told = (&self.name, &self.version, put.title, put.description);
        let found = (&endpoints.remotes, ready.has_packages, &endpoints.connect, &ready.immutable_digest);
        (put.raw, sha256, told, found).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KeptServerJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ServerJson::deserialize(deserializer).map(|document| Self::new(&document))
    }
}

impl fmt::Debug for KeptServerJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptServerJson({}@{})", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use crate::server_json::{Rules, Strictness};

    fn document() -> ServerJson {
        let raw = br#"{"$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
            "name": "ai.acme/weather", "version": "1.0.0", "title": "Weather", "description": "Forecasts for any place",
            "remotes": [{"type": "sse", "url": "https://acme.ai/sse"},
                {"type": "streamable-http", "url": "https://acme.ai/{place}", "variables": {"place": {"default": "x"}}}],
            "unknown": "\u00e4  and blanks "}"#;
        let rules = Rules { strictness: Strictness::Import, allow_insecure_endpoints: false };
        ServerJson::parse(raw, rules).unwrap().server
    }

    #[test]
    fn what_is_put_away_comes_back_whole() {
        let document = document();
        let kept = KeptServerJson::new(&document);
        assert!(kept.open() == document);
        assert_eq!(kept.raw().as_bytes(), document.raw());
        assert_eq!(kept.remotes(), document.remotes());
        assert_eq!(kept.immutable_digest(), document.immutable_digest());
        assert_eq!(kept.words(), (Some("Weather".into()), "Forecasts for any place".into()));
        assert!(kept.is_streamable());
        assert!(kept == document);
    }

    #[test]
    fn it_is_written_like_the_document() {
        let document = document();
        let kept = KeptServerJson::new(&document);
        assert_eq!(encoded(&kept), encoded(&document));
        let (written, bound) = (encoded(&kept).len(), kept.written_at_most());
        assert!((written..written + 128).contains(&bound), "{written}, {bound}");
        let (read, _): (KeptServerJson, _) =
            bincode::serde::decode_from_slice(&encoded(&document), CONFIG).unwrap();
        assert_eq!(read, kept);
    }
}
