//! Who and what appears in the sequences: few enough of each that their paths cross.

use crate::world::{Draft, document, presented, public_key};
use hapi_registry_state::{
    Act, CertificateName, Command, Entry, NewToken, NodeId, OidcGrant, PresentedToken, Principal,
    ProviderSettings, PublicKey, Role, RoleRule, ServerJson, ServerName, SigningAlgorithm, Subject, Tenant,
    TenantRule, Timestamp, Version,
};
use std::sync::LazyLock;

/// When the prelude ends.
pub(crate) const BEGIN: Timestamp = Timestamp::from_seconds(1_767_225_600);

pub(crate) const NAMES: [&str; 4] = ["a.x/one", "a.x/two", "b.y/one", "b.y/two"];
pub(crate) const NAMESPACES: [&str; 2] = ["a.x", "b.y"];
pub(crate) const VERSIONS: [&str; 6] = ["1.0.0", "1.1.0", "v1.1.0", "2.0.0-rc.1", "nightly", "dusk"];
pub(crate) const CLIENTS: [&str; 3] = ["c0", "c1", "c2"];
/// What certificates are known by; the last one is of no form.
pub(crate) const CERTIFICATES: [&str; 3] = ["one.example", "two.example", "Three"];
pub(crate) const TENANTS: [&str; 2] = ["t0", "t1"];
/// Identity providers: the prelude makes the first one.
pub(crate) const PROVIDERS: [&str; 2] = ["i0", "i1"];
/// The values of the one placeholder; the empty one leaves it to the default.
pub(crate) const VALUES: [&str; 4] = ["", "p", "q", "r/s"];

/// Tokens of the prelude, and those that only a sequence may make.
const TOKENS: [(&str, Role); 13] = [
    ("root", Role::Operator),
    ("o", Role::Operator),
    ("m", Role::Moderator),
    ("a", Role::Auditor),
    ("p0", Role::Publisher),
    ("p1", Role::Publisher),
    ("c0", Role::Client),
    ("c1", Role::Client),
    ("c2", Role::Client),
    ("new0", Role::Client),
    ("new1", Role::Moderator),
    ("new2", Role::Publisher),
    ("new3", Role::Client),
];
/// How many of the tokens above the prelude makes.
pub(crate) const MADE: usize = 9;

/// The remotes that a version can have. They collide, overlap and differ by no more than their choices.
const REMOTES: [&[(&str, &str, &[&str])]; 7] = [
    &[("streamable-http", "https://one.example/mcp", &[])],
    &[("streamable-http", "https://two.example/p", &[]), ("sse", "https://one.example/sse", &[])],
    &[("streamable-http", "https://two.example/{v}", &[])],
    &[("streamable-http", "https://two.example/{v}", &["p", "q"])],
    &[("streamable-http", "https://two.example:443/{v}", &["q"])],
    &[("streamable-http", "https://{v}.example/mcp", &["one", "p"])],
    &[("sse", "https://two.example/q", &[])],
];

pub(crate) static TOKEN_POOL: LazyLock<Vec<(Role, PresentedToken)>> =
    LazyLock::new(|| TOKENS.iter().map(|(name, role)| (*role, presented(name, *role))).collect());

pub(crate) static KEYS: LazyLock<Vec<PublicKey>> =
    LazyLock::new(|| (0..7).map(|number| public_key(&format!("key {number}"))).collect());

/// Every name in every version with all of the remotes.
pub(crate) static DOCUMENTS: LazyLock<Vec<ServerJson>> = LazyLock::new(|| {
    let each = NAMES.iter().flat_map(|name| VERSIONS.iter().map(move |version| (name, version)));
    each.flat_map(|(name, version)| REMOTES.iter().map(|remotes| draft(name, version, remotes))).collect()
});

/// The same with a title, as they are edited.
pub(crate) static TITLED: LazyLock<Vec<ServerJson>> = LazyLock::new(|| {
    let each = NAMES.iter().flat_map(|name| VERSIONS.iter().map(move |version| (name, version)));
    let titled = |name, version, remotes| {
        document(&Draft { title: Some("Gale".into()), ..plain(name, version, remotes) })
    };
    each.flat_map(|(name, version)| REMOTES.iter().map(move |remotes| titled(name, version, remotes)))
        .collect()
});

fn draft(name: &str, version: &str, remotes: &[(&str, &str, &[&str])]) -> ServerJson {
    document(&plain(name, version, remotes))
}

fn plain(name: &str, version: &str, remotes: &[(&str, &str, &[&str])]) -> Draft {
    let choices = remotes.iter().flat_map(|(_, _, choices)| *choices).map(|&choice| choice.to_owned());
    Draft {
        name: name.into(),
        version: version.into(),
        remotes: remotes.iter().map(|(kind, url, _)| ((*kind).into(), (*url).into())).collect(),
        variables: vec![("v".into(), choices.collect(), None)],
        ..Draft::default()
    }
}

pub(crate) fn certificate(name: &str) -> CertificateName {
    CertificateName::Dns(name.into())
}

pub(crate) fn names() -> impl Iterator<Item = ServerName> {
    NAMES.iter().map(|name| name.parse().unwrap())
}

pub(crate) fn version(text: &str) -> Version {
    Version::parse_imported(text).unwrap()
}

pub(crate) fn token(number: usize) -> &'static PresentedToken {
    &TOKEN_POOL[number].1
}

/// A command to make the token with this number.
pub(crate) fn new_token(number: usize, expires_at: Option<Timestamp>) -> NewToken {
    let (name, role) = TOKENS[number];
    let tenant = matches!(name, "c1" | "c2").then(|| TENANTS[0].parse().unwrap());
    let client =
        (role == Role::Client).then(|| name.strip_prefix("new").map_or(name, |_| "c0").parse().unwrap());
    let globs: &[&str] = match name {
        "p0" => &["a.x"],
        "p1" | "new2" => &["b.*", "a.x"],
        _ => &[],
    };
    NewToken {
        id: token(number).id.clone(),
        hash: token(number).hash,
        role,
        client,
        tenant,
        namespaces: globs.iter().map(|glob| glob.parse().unwrap()).collect(),
        expires_at,
    }
}

/// What a provider may be like: it speaks for the clients that the globs name, of one tenant or of any.
pub(crate) fn settings(claim: &str, tenant: Option<TenantRule>) -> ProviderSettings {
    let rule = |role: Role| RoleRule {
        claim: claim.into(),
        value: role.as_str().into(),
        role,
        namespaces: if role == Role::Publisher { vec!["a.x".parse().unwrap()] } else { Vec::new() },
    };
    ProviderSettings {
        issuer: format!("https://idp.example{claim}"),
        audience: "registry".into(),
        algorithms: vec![SigningAlgorithm::Es256],
        jwks_url: None,
        roles: Role::ALL.map(rule).to_vec(),
        client_claim: "client_id".into(),
        clients: vec!["c*".parse().unwrap()],
        tenant,
        console_client_id: None,
    }
}

/// What a provider's token would grant until then, if the settings that are of the entry `of` still stood.
pub(crate) fn grant(provider: &str, of: u64, role: Role, client: &str, expires_at: Timestamp) -> OidcGrant {
    OidcGrant {
        provider: provider.parse().unwrap(),
        of,
        subject: format!("oidc:{provider}/{client}").parse().unwrap(),
        role,
        client: (role == Role::Client).then(|| client.parse().unwrap()),
        tenant: Some(TENANTS[0].parse().unwrap()),
        namespaces: if role == Role::Publisher { vec!["a.x".parse().unwrap()] } else { Vec::new() },
        expires_at,
    }
}

/// The entry of the prelude that makes the first provider.
pub(crate) const PROVIDED: u64 = 4;

/// Something to take away: a server under each name, at each kind of URL, of which some are vouched for, and clients
/// with keys.
pub(crate) fn stock() -> Vec<Entry> {
    let by = |number: usize, command| Entry::new(BEGIN, Principal::Token(token(number).id.clone()), command);
    let document =
        |name: usize, remotes: usize| DOCUMENTS[(name * VERSIONS.len()) * REMOTES.len() + remotes].clone();
    let remotes = [(0, 0), (1, 2), (2, 5), (3, 1)];
    let publish = remotes.map(|(name, remotes)| by(5, Command::Publish(document(name, remotes))));
    let verify = [NAMES[0], NAMES[2]].map(|name| {
        let (subject, reason) = (Subject::Server(name.parse().unwrap()), "known".into());
        by(2, Command::Moderate { act: Act::Verify, subject, reason, case: None })
    });
    let clients = [(CLIENTS[0], None), (CLIENTS[1], Some(TENANTS[0]))].map(|(id, tenant)| {
        let tenant = tenant.map(|tenant| tenant.parse().unwrap());
        by(0, Command::PutClient { id: id.parse().unwrap(), tenant, keys: KEYS[..3].to_vec() })
    });
    publish.into_iter().chain(verify).chain(clients).collect()
}

/// One of each role, two tenants, two nodes of which each has an active key.
pub(crate) fn prelude() -> &'static [Entry] {
    static PRELUDE: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        let entry = |by, command| Entry::new(BEGIN, by, command);
        let root = || Principal::Token(token(0).id.clone());
        let mut entries = vec![entry(Principal::ClusterSecret, Command::Bootstrap(new_token(0, None)))];
        for tenant in TENANTS {
            let put = Command::PutTenant { id: tenant.parse().unwrap(), tenant: Tenant::default() };
            entries.push(entry(root(), put));
        }
        let settings = settings("/roles", None);
        entries.push(entry(
            root(),
            Command::PutIdentityProvider { id: PROVIDERS[0].parse().unwrap(), settings },
        ));
        entries.extend((1..MADE).map(|number| entry(root(), Command::CreateToken(new_token(number, None)))));
        for node in [1_u64, 2] {
            let (key, by) = (&KEYS[node as usize], || Principal::Node(NodeId(node)));
            let http = format!("https://n{node}.example");
            entries.push(entry(by(), Command::JoinRoster { http, version: "1".into() }));
            entries.push(entry(by(), Command::PublishKey(key.clone())));
            entries.push(entry(by(), Command::ActivateKey(key.kid())));
        }
        entries
    });
    &PRELUDE
}
