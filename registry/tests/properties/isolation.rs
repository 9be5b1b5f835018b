//! Who sees and reaches what, against a model that knows nothing of how the registry does it: the rules of tenants as a
//! person would read them off the page, over every question that names a server or shows some.

use crate::{
    cases,
    world::{Draft, document, presented, public_key},
};
use hapi_registry_state::{
    Act, Caller, Command, ConnectRequest, Credential, Endpoint, Entry, Governed, Issuer, ListQuery, Listed,
    NewToken, NodeId, Outcome, Principal, Refusal, Registry, Role, ServerName, ServerRef, SettingsPatch,
    Subject, Tenant, Timestamp, Version, Viewer,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::collections::BTreeSet;

const BEGIN: Timestamp = Timestamp::from_seconds(1_767_225_600);
const NAMESPACES: [&str; 4] = ["a.x", "a.x.lab", "b.y", "ab.y"];
const SERVERS: [&str; 3] = ["one", "two", "wondrous"];

/// What one tenant says.
#[derive(Clone, Debug)]
struct Rules {
    allow: Option<Vec<String>>,
    block: Vec<String>,
    require_verified: bool,
    private: Vec<&'static str>,
}

/// All that decides who sees and reaches what.
#[derive(Clone, Debug)]
struct World {
    /// By namespace and server: none, or whether it is vouched for.
    servers: Vec<Option<bool>>,
    private: BTreeSet<&'static str>,
    tenants: Vec<Rules>,
    /// Of each client, the tenant.
    clients: Vec<Option<usize>>,
    publishes: String,
    governed: bool,
}

/// What globs are put together from.
const PIECES: [&str; 14] =
    ["a", "a.x", ".", "x", "/", "b.y", "y", "*", "**", "one", "o", "n", "wondrous", "lab"];

fn glob() -> impl Strategy<Value = String> {
    let random = vec(select(&PIECES[..]), 1..5).prop_map(|pieces| pieces.concat());
    let names = NAMESPACES.iter().flat_map(|ns| SERVERS.iter().map(move |name| format!("{ns}/{name}")));
    let whole: Vec<_> = NAMESPACES.iter().map(|ns| format!("{ns}/*")).collect();
    prop_oneof![
        4 => random,
        2 => select(names.collect::<Vec<_>>()),
        2 => select(whole),
        1 => Just("*".to_owned()),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let globs = |most: usize| vec(glob(), 0..most);
    let private = proptest::sample::subsequence(&NAMESPACES[..], 0..=NAMESPACES.len());
    (option::of(globs(4)), globs(3), prop::bool::weighted(0.2), private).prop_map(
        |(allow, block, require_verified, private)| Rules { allow, block, require_verified, private },
    )
}

fn world() -> impl Strategy<Value = World> {
    let servers = vec(option::weighted(0.7, any::<bool>()), NAMESPACES.len() * SERVERS.len());
    let private = proptest::sample::subsequence(&NAMESPACES[..], 0..=NAMESPACES.len());
    let clients = vec(option::weighted(0.8, 0..3_usize), 4);
    (servers, private, vec(rules(), 3), clients, glob(), prop::bool::weighted(0.2)).prop_map(
        |(servers, private, tenants, clients, publishes, governed)| World {
            servers,
            private: private.into_iter().collect(),
            tenants,
            clients,
            publishes,
            governed,
        },
    )
}

// The model.

/// Whether `text` fits `pattern`, tried letter by letter.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if fits(rest, text) => true,
        (Some((b'*', _)), Some((_, rest))) => fits(pattern, rest),
        (Some((a, pattern)), Some((b, text))) => a == b && fits(pattern, text),
        _ => false,
    }
}

fn any_fits(globs: &[String], text: &str) -> bool {
    globs.iter().any(|glob| fits(glob.as_bytes(), text.as_bytes()))
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum Who {
    Nobody,
    Client(usize),
    Publisher,
    Auditor,
}

impl World {
    /// Names, whether there is such a server or not.
    fn names() -> Vec<(&'static str, &'static str)> {
        NAMESPACES.iter().flat_map(|ns| SERVERS.iter().map(move |name| (*ns, *name))).collect()
    }

    fn server(&self, ns: &str, name: &str) -> Option<bool> {
        let place = Self::names().iter().position(|known| *known == (ns, name)).unwrap();
        self.servers[place]
    }

    fn tenant(&self, client: usize) -> Option<&Rules> {
        self.clients[client].map(|tenant| &self.tenants[tenant])
    }

    fn sees(&self, who: Who, ns: &str) -> bool {
        if !self.private.contains(ns) {
            return true;
        }
        match who {
            Who::Nobody => false,
            Who::Auditor => true,
            Who::Publisher => fits(self.publishes.as_bytes(), ns.as_bytes()),
            Who::Client(client) => self.tenant(client).is_some_and(|rules| rules.private.contains(&ns)),
        }
    }

    /// `ok`, or the word of the refusal.
    fn connects(&self, client: usize, ns: &str, name: &str) -> &'static str {
        let Some(verified) = self.server(ns, name).filter(|_| self.sees(Who::Client(client), ns)) else {
            return "server_not_found";
        };
        let full = format!("{ns}/{name}");
        match self.tenant(client) {
            _ if !verified && self.governed => "server_unverified",
            Some(rules) if !verified && rules.require_verified => "server_unverified",
            Some(rules) if any_fits(&rules.block, &full) => "policy_blocked",
            Some(Rules { allow: Some(allow), .. }) if !any_fits(allow, &full) => "policy_blocked",
            _ => "ok",
        }
    }

    /// What the registry is told.
    fn build(&self) -> Registry {
        let mut registry = Registry::default();
        for (by, command) in self.commands() {
            let outcome = registry.apply(registry.applied() + 1, &Entry::new(BEGIN, by, command));
            assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        }
        registry
    }

    fn commands(&self) -> Vec<(Principal, Command)> {
        let root = || by("root", Role::Operator);
        let mut commands = vec![
            (Principal::ClusterSecret, Command::Bootstrap(token("root", Role::Operator, None, &[]))),
            (root(), Command::CreateToken(token("all", Role::Publisher, None, &["*"]))),
            (root(), Command::CreateToken(token("some", Role::Publisher, None, &[&self.publishes]))),
            (root(), Command::CreateToken(token("mona", Role::Moderator, None, &[]))),
            (root(), Command::CreateToken(token("audrey", Role::Auditor, None, &[]))),
        ];
        for (number, rules) in self.tenants.iter().enumerate() {
            let parse = |globs: &Vec<String>| globs.iter().map(|glob| glob.parse().unwrap()).collect();
            let tenant = Tenant {
                allow: rules.allow.as_ref().map(parse),
                block: parse(&rules.block),
                require_verified: rules.require_verified,
                private_namespaces: rules.private.iter().map(|ns| ns.parse().unwrap()).collect(),
                ..Tenant::default()
            };
            commands.push((root(), Command::PutTenant { id: format!("t{number}").parse().unwrap(), tenant }));
        }
        for (number, tenant) in self.clients.iter().enumerate() {
            let name = format!("c{number}");
            let new = token(&name, Role::Client, *tenant, &[]);
            commands.push((root(), Command::CreateToken(new)));
        }
        for (ns, name) in Self::names() {
            let Some(verified) = self.server(ns, name) else { continue };
            let url = format!("https://{name}.{ns}.example/mcp");
            let draft = Draft {
                name: format!("{ns}/{name}"),
                version: "1.0.0".into(),
                remotes: vec![("streamable-http".into(), url)],
                ..Draft::default()
            };
            commands.push((by("all", Role::Publisher), Command::Publish(document(&draft))));
            if verified {
                let (subject, reason) = (Subject::Server(draft.name.parse().unwrap()), "known".into());
                let act = Command::Moderate { act: Act::Verify, subject, reason, case: None };
                commands.push((by("mona", Role::Moderator), act));
            }
        }
        for ns in &self.private {
            commands.push((root(), Command::PutNamespace { namespace: ns.parse().unwrap(), private: true }));
        }
        let governed = Some(if self.governed { Governed::Verified } else { Governed::All });
        let settings = SettingsPatch { governed, ..SettingsPatch::default() };
        commands.push((root(), Command::UpdateSettings(settings)));
        let node = || Principal::Node(NodeId(1));
        let key = public_key("k1");
        commands
            .push((node(), Command::JoinRoster { http: "https://n1.example".into(), version: "1".into() }));
        commands.push((node(), Command::PublishKey(key.clone())));
        commands.push((node(), Command::ActivateKey(key.kid())));
        commands
    }
}

fn by(name: &str, role: Role) -> Principal {
    Principal::Token(presented(name, role).id)
}

fn token(name: &str, role: Role, tenant: Option<usize>, namespaces: &[&str]) -> NewToken {
    let presented = presented(name, role);
    NewToken {
        id: presented.id,
        hash: presented.hash,
        role,
        client: (role == Role::Client).then(|| name.parse().unwrap()),
        tenant: tenant.map(|tenant| format!("t{tenant}").parse().unwrap()),
        namespaces: namespaces.iter().map(|glob| glob.parse().unwrap()).collect(),
        expires_at: None,
    }
}

// The questions.

fn caller(registry: &Registry, who: Who) -> Option<Caller> {
    let credential = match who {
        Who::Nobody => return None,
        Who::Client(number) => presented(&format!("c{number}"), Role::Client),
        Who::Publisher => presented("some", Role::Publisher),
        Who::Auditor => presented("audrey", Role::Auditor),
    };
    Some(registry.authenticate(&Credential::Token(credential), BEGIN).unwrap())
}

fn everybody() -> Vec<Who> {
    (0..4).map(Who::Client).chain([Who::Nobody, Who::Publisher, Who::Auditor]).collect()
}

fn listed(registry: &Registry, search: Option<&str>, limit: usize, viewer: Viewer<'_>) -> BTreeSet<String> {
    let mut query = ListQuery { limit, search: search.map(str::to_owned), ..ListQuery::default() };
    let mut names = BTreeSet::new();
    loop {
        let page = registry.list(&query, viewer);
        names.extend(page.items.iter().map(|listed| listed.published.document.name().to_string()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return names,
        }
    }
}

fn check_catalog(world: &World, registry: &Registry, who: Who) {
    let caller = caller(registry, who);
    let viewer = caller.as_ref().map_or(Viewer::Anonymous, Viewer::Caller);
    let there = |ns: &str, name: &str| world.server(ns, name).is_some() && world.sees(who, ns);
    let shown = World::names().into_iter().filter(|(ns, name)| there(ns, name));
    let shown: BTreeSet<_> = shown.map(|(ns, name)| format!("{ns}/{name}")).collect();
    for limit in [1, 5, 100] {
        assert_eq!(listed(registry, None, limit, viewer), shown, "{who:?}");
    }
    for name in SERVERS {
        let found = listed(registry, Some(name), 100, viewer);
        let named = shown.iter().filter(|full| full.ends_with(&format!("/{name}")));
        assert!(named.cloned().collect::<BTreeSet<_>>().is_subset(&found), "{who:?}: {name}");
        assert!(found.is_subset(&shown), "{who:?} finds {found:?} by {name}");
    }
    let version = Version::parse_imported("1.0.0").unwrap();
    for (ns, name) in World::names() {
        let (full, there): (ServerName, _) = (format!("{ns}/{name}").parse().unwrap(), there(ns, name));
        for include_deleted in [false, true] {
            let one = |version| registry.version(&full, version, include_deleted, viewer);
            let is_it = |listed: Option<Listed>| listed.map(|it| it.published.document.name() == &full);
            assert_eq!(is_it(one(None)), there.then_some(true), "{who:?}: {full}");
            assert_eq!(is_it(one(Some(&version))), there.then_some(true), "{who:?}: {full}");
            let versions = registry.versions(&full, include_deleted, viewer);
            assert_eq!(versions.len(), usize::from(there), "{who:?}: {full}");
        }
    }
}

fn check_connects(world: &World, registry: &Registry, client: usize) {
    let credential = Credential::Token(presented(&format!("c{client}"), Role::Client));
    let issuer = Issuer { node: NodeId(1), kid: public_key("k1").kid() };
    let tenant = caller(registry, Who::Client(client)).unwrap().tenant;
    let tenant = tenant.as_ref();
    for (ns, name) in World::names() {
        let full: ServerName = format!("{ns}/{name}").parse().unwrap();
        for version in [None, Some(Version::parse_imported("1.0.0").unwrap())] {
            let server = ServerRef { name: full.clone(), version };
            let request =
                ConnectRequest { server, client_id: None, tenant_id: None, variables: [].into(), ttl: None };
            let decision = registry.decide(BEGIN, &credential, &request, &issuer);
            let word = decision.as_ref().map_or_else(Refusal::code, |_| "ok");
            let expected = world.connects(client, ns, name);
            assert_eq!(word, expected, "c{client} to {full}");
            if expected == "server_not_found" {
                // As if there were none: no word of the refusal may depend on whether there is.
                assert_eq!(decision, Err(Refusal::ServerNotFound(full.clone())));
            }
        }
        let endpoint = Endpoint::parse(&format!("https://{name}.{ns}.example/mcp")).unwrap();
        let known = world.server(ns, name).is_some() && world.sees(Who::Client(client), ns);
        assert_eq!(registry.resource(&endpoint, tenant).is_some(), known, "c{client}: {full} by its URL");
    }
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn everybody_sees_and_reaches_what_the_rules_say_and_nothing_else(world in world()) {
        let registry = world.build();
        for who in everybody() {
            check_catalog(&world, &registry, who);
        }
        for client in 0..4 {
            check_connects(&world, &registry, client);
        }
    }
}

/// What the worlds are like: if none had anything to hide or to refuse, the above would hold of any registry.
#[test]
fn the_worlds_have_all_that_can_happen_in_them() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut words, mut hidden) = (BTreeSet::new(), 0);
    for _ in 0..64 {
        let world = world().new_tree(&mut runner).unwrap().current();
        for (client, (ns, name)) in
            (0..4).flat_map(|client| World::names().into_iter().map(move |n| (client, n)))
        {
            words.insert(world.connects(client, ns, name));
            hidden += usize::from(world.server(ns, name).is_some() && !world.sees(Who::Client(client), ns));
        }
    }
    let all = ["ok", "policy_blocked", "server_not_found", "server_unverified"];
    assert_eq!(words.into_iter().collect::<Vec<_>>(), all);
    assert!(hidden > 100, "{hidden}");
}
