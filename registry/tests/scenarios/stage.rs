//! The stage: a registry, a clock that moves when the script says so, and the names of the cast.

use crate::{
    commands,
    line::Line,
    questions, transcript,
    world::{presented, public_key},
};
use hapi_registry_state::{
    CertificateProof, Command, Credential, Entry, IdentityProviderId, KeyProof, Kid, NodeId, OidcGrant,
    Outcome, PresentedToken, Principal, PublisherGrant, Registry, Role, Timestamp, snapshot,
};
use std::collections::BTreeMap;

/// When every page begins: 2026-01-01T00:00:00Z.
pub(crate) const BEGIN: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// One performance.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) registry: Registry,
    pub(crate) now: Timestamp,
    tokens: BTreeMap<String, PresentedToken>,
    grants: BTreeMap<String, PublisherGrant>,
    shown: BTreeMap<String, OidcGrant>,
    /// The names that the script gives, by what stands for them in the registry.
    names: BTreeMap<String, String>,
}

impl Default for Stage {
    fn default() -> Self {
        let (registry, tokens, grants, shown) = Default::default();
        Self { registry, now: BEGIN, tokens, grants, shown, names: BTreeMap::new() }
    }
}

impl Stage {
    /// Performs one line of a script and says what came of it.
    pub(crate) fn perform(&mut self, text: &str) -> String {
        let mut line = Line::parse(text);
        let verb = line.word();
        let said = match &*verb {
            "from" => self.restart_world(line),
            "at" => self.advance(line),
            "grant" => self.grant(line),
            "shows" => self.shows(line),
            "restore" => self.restore(line),
            "connect" => questions::connect(self, line),
            "list" => questions::list(self, line),
            "versions" => questions::versions(self, line),
            "get" => questions::get(self, line),
            "audit" => questions::audit(self, line),
            "events" => questions::events(self, line),
            "keys" => questions::keys(self, line),
            "floors" => questions::floors(self, line),
            "resource" => questions::resource(self, line),
            "roster" => questions::roster(self, line),
            "given-up" => questions::given_up(self, line),
            "mirrors" => questions::mirrors(self, line),
            "webhooks" => questions::webhooks(self, line),
            "last-use" => questions::last_use(self, line),
            _ => self.propose(&verb, line),
        };
        self.named(said)
    }

    fn restart_world(&mut self, mut line: Line) -> String {
        assert_eq!(line.word(), "nothing");
        line.end();
        String::new()
    }

    /// `at 1m30s`: so long after the beginning. It may lie before the present: clocks differ.
    fn advance(&mut self, mut line: Line) -> String {
        self.now = BEGIN.plus_seconds(seconds(&line.word()));
        line.end();
        String::new()
    }

    /// `grant NAME SUBJECT key= namespaces= lasts=`: what somebody shows from now on that has a publisher token.
    fn grant(&mut self, mut line: Line) -> String {
        let (name, subject) = (line.word(), line.parsed());
        let kid = public_key(&line.option("key").unwrap()).kid();
        let globs = line.list("namespaces").unwrap().iter().map(|glob| glob.parse().unwrap()).collect();
        let ends = self.now.plus_seconds(seconds(&line.option("lasts").unwrap()));
        line.end();
        self.grants.insert(name, PublisherGrant::new(subject, globs, kid, ends).unwrap());
        String::new()
    }

    /// `shows NAME PROVIDER role= [client=] [tenant=] [namespaces=] lasts=`: whom a provider's token names from now on, by
    /// the settings that the provider has at this moment.
    fn shows(&mut self, mut line: Line) -> String {
        let (name, provider): (String, IdentityProviderId) = (line.word(), line.parsed());
        let globs = line.list("namespaces").unwrap_or_default();
        let grant = OidcGrant {
            of: self.registry.identity_provider(&provider).map_or(0, |provider| provider.index),
            subject: format!("oidc:{provider}/{name}").parse().unwrap(),
            provider,
            role: line.option("role").unwrap().parse().unwrap(),
            client: line.option("client").map(|id| id.parse().unwrap()),
            tenant: line.option("tenant").map(|id| id.parse().unwrap()),
            namespaces: globs.iter().map(|glob| glob.parse().unwrap()).collect(),
            expires_at: self.now.plus_seconds(seconds(&line.option("lasts").unwrap())),
        };
        line.end();
        self.shown.insert(name, grant);
        String::new()
    }

    /// Replaces the registry by what its snapshot says.
    fn restore(&mut self, line: Line) -> String {
        line.end();
        let mut builder = snapshot::Builder::new(snapshot::form(&self.registry)).unwrap();
        snapshot::records(&self.registry).for_each(|record| builder.push(&record).unwrap());
        let restored = builder.finish().unwrap();
        let same = restored.hash() == self.registry.hash();
        self.registry = restored;
        if same { "the same state".into() } else { "another state".into() }
    }

    fn propose(&mut self, verb: &str, mut line: Line) -> String {
        let by = self.principal(line.by());
        let command = commands::read(self, verb, &mut line);
        line.end();
        let outcome = self.apply(by, command.clone());
        transcript::outcome(&self.registry, &command, &outcome)
    }

    fn apply(&mut self, by: Principal, command: Command) -> Outcome {
        let index = self.registry.applied() + 1;
        self.registry.apply(index, &Entry::new(self.now, by, command))
    }

    /// Who stands behind a name: `n1` is a node, everyone else bears the token that was made under the name.
    fn principal(&mut self, name: &str) -> Principal {
        if let Some(grant) = self.grants.get(name) {
            return Principal::Publisher(grant.clone());
        }
        if let Some(grant) = self.shown.get(name) {
            return Principal::Oidc(grant.clone());
        }
        match (name, node(name)) {
            ("cluster-secret", _) => Principal::ClusterSecret,
            ("system", _) => Principal::System,
            (_, Some(_)) => Principal::Node(self.node(name)),
            (_, None) => Principal::Token(self.token(name).id),
        }
    }

    /// The token under a name; nobody may have made it yet.
    pub(crate) fn token(&self, name: &str) -> PresentedToken {
        self.tokens.get(name).cloned().unwrap_or_else(|| presented(name, Role::Client))
    }

    /// What the bearer of the token under a name presents. `forged-carol` knows carol's id, not her secret.
    pub(crate) fn credential(&self, name: &str) -> Credential {
        if let Some(grant) = self.shown.get(name) {
            return Credential::Oidc(grant.clone());
        }
        Credential::Token(match name.strip_prefix("forged-") {
            Some(victim) => PresentedToken { id: self.token(victim).id, ..presented(name, Role::Client) },
            None => self.token(name),
        })
    }

    /// What a client shows that has just signed with a key of its own.
    pub(crate) fn proof(&self, client: &str, key: &str) -> Credential {
        Credential::Key(KeyProof {
            client: client.parse().unwrap(),
            kid: public_key(key).kid(),
            expires_at: self.now.plus_seconds(60),
        })
    }

    /// What somebody shows that has come with such a certificate.
    pub(crate) fn certificate(&self, names: &[String], lasts: &str) -> Credential {
        Credential::Certificate(CertificateProof {
            names: names.iter().map(|name| commands::certificate(name)).collect(),
            expires_at: self.now.plus_seconds(seconds(lasts)),
        })
    }

    pub(crate) fn make_token(&mut self, name: &str, role: Role) -> PresentedToken {
        let token = presented(name, role);
        self.tokens.insert(name.into(), token.clone());
        self.names.insert(token.id.to_string(), name.into());
        token
    }

    pub(crate) fn name_key(&mut self, name: &str, kid: &Kid) {
        self.names.insert(kid.to_string(), name.into());
    }

    pub(crate) fn node(&mut self, name: &str) -> NodeId {
        let node = node(name).unwrap_or_else(|| panic!("`{name}` is no node: write n1, n2, …"));
        self.names.insert(node.to_string(), name.into());
        node
    }

    /// What was said, with the script's names for ids.
    fn named(&self, said: String) -> String {
        self.names.iter().fold(said, |said, (id, name)| said.replace(id, name))
    }
}

fn node(name: &str) -> Option<NodeId> {
    name.strip_prefix('n')?.parse().ok().map(NodeId)
}

/// The seconds of `1d2h3m4s`, each part optional.
pub(crate) fn seconds(text: &str) -> u64 {
    let (mut total, mut number) = (0, 0);
    for character in text.chars() {
        let unit = match character {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            digit => {
                number = number * 10 + u64::from(digit.to_digit(10).expect("a duration such as 1m30s"));
                continue;
            }
        };
        total += number * unit;
        number = 0;
    }
    assert_eq!(number, 0, "`{text}` lacks a unit");
    total
}
