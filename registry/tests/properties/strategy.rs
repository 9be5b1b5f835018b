//! Sequences of entries: any command by any principal, though most often by one who may.

use crate::cast::{
    BEGIN, CERTIFICATES, CLIENTS, DOCUMENTS, KEYS, MADE, NAMES, NAMESPACES, PROVIDED, PROVIDERS, TENANTS,
    TITLED, TOKEN_POOL, VERSIONS, certificate, grant, new_token, settings as settings_of, token, version,
};
use hapi_registry_state::{
    Act, Command, Endpoint, Entry, Gate, Governed, HealthChange, HealthFault, HealthGatePatch,
    IdentityProviderId, Imported, Kid, MirrorId, MirrorPass, MirrorProgress, MirrorSettings, MirrorStep,
    ModerationRulesPatch, NewEntries, NodeId, Order, Principal, PublisherGrant, RequestKey, Role,
    SecretFingerprint, ServerJson, ServerName, SettingsPatch, Status, Subject, Target, Tenant, TenantRule,
    Timestamp, TokenId, Version, WebhookId, WebhookSettings,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// A sequence of up to `length` entries behind the prelude.
pub(crate) fn entries(length: usize) -> impl Strategy<Value = Vec<Entry>> {
    vec(entry(), 0..=length)
}

fn entry() -> impl Strategy<Value = Entry> {
    // Mostly later than what was before, sometimes earlier: leaders' clocks differ.
    let at = (0_u64..7_200).prop_map(|seconds| BEGIN.plus_seconds(seconds));
    (at, command()).prop_flat_map(|(at, command)| {
        let key = option::weighted(0.1, request_key());
        (principal(&command), key).prop_map(move |(by, key)| Entry { at, by, command: command.clone(), key })
    })
}

/// Few names and few requests, so that they are used again, rightly and wrongly.
fn request_key() -> impl Strategy<Value = RequestKey> {
    (select(&["k0", "k1", ""][..]), 0..2_u8)
        .prop_map(|(name, hash)| RequestKey { name: name.into(), fingerprint: [hash; 32] })
}

/// A sequence of entries of which each may take something from somebody, by those who may.
pub(crate) fn denials(length: usize) -> impl Strategy<Value = Vec<Entry>> {
    let at = (0_u64..7_200).prop_map(|seconds| BEGIN.plus_seconds(seconds));
    let entry = (at, denial()).prop_flat_map(|(at, command)| {
        select(fitting(&command)).prop_map(move |by| Entry::new(at, by, command.clone()))
    });
    vec(entry, 1..=length)
}

fn denial() -> impl Strategy<Value = Command> {
    let verified_only = SettingsPatch { governed: Some(Governed::Verified), ..SettingsPatch::default() };
    let namespace = || select(&NAMESPACES[..]).prop_map(|namespace| namespace.parse().unwrap());
    prop_oneof![
        4 => forbid(),
        3 => order().prop_map(Command::Order),
        2 => set_status(),
        2 => token_id().prop_map(Command::RevokeToken),
        2 => put_provider(),
        2 => provider_id().prop_map(Command::RemoveIdentityProvider),
        2 => put_client(),
        3 => put_tenant(),
        1 => namespace().prop_map(|namespace| Command::PutNamespace { namespace, private: true }),
        1 => Just(Command::UpdateSettings(verified_only)),
        2 => document().prop_map(Command::Publish),
        3 => mirror(),
        1 => key_command(),
        1 => node().prop_map(Command::RotateKey),
        1 => node().prop_map(Command::DrainNode),
    ]
}

/// Mostly what can be lifted again, so that something is left to take.
fn forbid() -> impl Strategy<Value = Command> {
    let act = prop_oneof![3 => Just(Act::Unverify), 1 => Just(Act::Suspend), 1 => Just(Act::Quarantine)];
    (act, subject()).prop_map(|(act, subject)| {
        let (reason, case) = ("odd".into(), None);
        Command::Moderate { act, subject, reason, case }
    })
}

/// Four times in five one whose role fits the command; else anyone.
fn principal(command: &Command) -> BoxedStrategy<Principal> {
    prop_oneof![4 => select(fitting(command)), 1 => anyone()].boxed()
}

fn fitting(command: &Command) -> Vec<Principal> {
    match command {
        Command::Publish(_) | Command::Edit(_) | Command::SetStatus { .. } => {
            let granted = [by_grant(1, &["a.x"], 7_200), by_grant(2, &["b.*"], 3_600)];
            [by_token(4), by_token(5), by_token(MADE + 2)].into_iter().chain(granted).collect()
        }
        Command::Moderate { .. } | Command::Order(_) | Command::ConfirmAct(_) | Command::RejectAct { .. } => {
            vec![by_token(2), by_token(MADE + 1)]
        }
        Command::Bootstrap(_) => vec![Principal::ClusterSecret],
        Command::Checkpoint
        | Command::SessionOpen { .. }
        | Command::Sealed { .. }
        | Command::WebhookDelivered { .. }
        | Command::NoteHealth(_)
        | Command::Lift { .. } => vec![Principal::System],
        Command::PublishKey(_)
        | Command::ActivateKey(_)
        | Command::RetireKey(_)
        | Command::RemoveKey(_)
        | Command::RevokeKey { .. }
        | Command::JoinRoster { .. }
        | Command::NoteTokenUses(_) => (1..=3).map(|node| Principal::Node(NodeId(node))).collect(),
        _ => vec![by_token(0), by_token(1)],
    }
}

fn by_token(number: usize) -> Principal {
    Principal::Token(token(number).id.clone())
}

/// Somebody with a publisher token that a key has signed, until so many seconds after the beginning.
fn by_grant(key: usize, globs: &[&str], seconds: u64) -> Principal {
    let namespaces = globs.iter().map(|glob| glob.parse().unwrap()).collect();
    let subject = "dns:x.a".parse().unwrap();
    let grant = PublisherGrant::new(subject, namespaces, KEYS[key].kid(), BEGIN.plus_seconds(seconds));
    Principal::Publisher(grant.unwrap())
}

/// Most keys are known to nobody, or not yet; a grant may end before the sequence begins.
fn any_grant() -> impl Strategy<Value = Principal> {
    const GLOBS: [&[&str]; 5] = [&["a.x"], &["b.*"], &["*"], &["b.y", "a.*"], &["c.z"]];
    let globs = select(&GLOBS[..]);
    (0..KEYS.len(), globs, 0..7_200_u64).prop_map(|(key, globs, seconds)| by_grant(key, globs, seconds))
}

/// Whom a provider's token names: mostly by settings that have stood at some time, until some time.
fn any_oidc() -> impl Strategy<Value = Principal> {
    let of = prop_oneof![6 => Just(PROVIDED), 1 => 0..100_u64];
    (select(&PROVIDERS[..]), of, select(&Role::ALL[..]), 0..14_400_u64).prop_map(
        |(provider, of, role, seconds)| {
            Principal::Oidc(grant(provider, of, role, CLIENTS[0], BEGIN.plus_seconds(seconds)))
        },
    )
}

fn anyone() -> impl Strategy<Value = Principal> {
    prop_oneof![
        3 => any_oidc(),
        3 => any_grant(),
        6 => (0..TOKEN_POOL.len()).prop_map(by_token),
        2 => (1_u64..5).prop_map(|node| Principal::Node(NodeId(node))),
        1 => Just(Principal::ClusterSecret),
        1 => Just(Principal::System),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        10 => document().prop_map(Command::Publish),
        4 => edited().prop_map(Command::Edit),
        2 => vec(imported(), 0..4).prop_map(Command::Import),
        6 => set_status(),
        8 => moderate(),
        6 => order().prop_map(Command::Order),
        4 => (20..100_u64).prop_map(Command::ConfirmAct),
        1 => (20..100_u64, "[a-z]{0,3}").prop_map(|(id, reason)| Command::RejectAct { id, reason }),
        3 => (subject(), 20..100_u64).prop_map(|(subject, index)| Command::Lift { subject, index }),
        4 => new_token_command().prop_map(Command::CreateToken),
        1 => new_token_command().prop_map(Command::Bootstrap),
        1 => token_id().prop_map(Command::RevokeToken),
        2 => put_client(),
        2 => put_tenant(),
        2 => (select(&NAMESPACES[..]), any::<bool>()).prop_map(|(namespace, private)| {
            Command::PutNamespace { namespace: namespace.parse().unwrap(), private }
        }),
        2 => settings(),
        2 => rules(),
        8 => key_command(),
        2 => "[a-z]{0,9}".prop_map(|http| Command::JoinRoster { http, version: "0.2.0".into() }),
        1 => node().prop_map(Command::DrainNode),
        1 => node().prop_map(Command::LeaveRoster),
        1 => Just(Command::Checkpoint),
        1 => any::<u128>().prop_map(|id| Command::SessionOpen { id }),
        2 => (0..100_u64).prop_map(|index| Command::Sealed { index }),
        1 => give_up(),
        2 => node().prop_map(Command::RotateKey),
        2 => put_mirror(),
        1 => mirror_id().prop_map(Command::RemoveMirror),
        8 => mirror(),
        4 => webhook(),
        1 => token_uses(),
        2 => put_provider(),
        1 => provider_id().prop_map(Command::RemoveIdentityProvider),
        2 => gate(),
        8 => health(),
    ]
}

fn gate() -> impl Strategy<Value = Command> {
    let on = prop_oneof![4 => Just(Gate::On), 1 => Just(Gate::Off)];
    let exempt = vec(select(&["a.x/*", "*/one"][..]), 0..2);
    (option::of(on), option::weighted(0.3, exempt), option::of(0..8_u32)).prop_map(
        |(health_gate, exempt, number)| {
            let exempt = exempt.map(|globs| globs.iter().map(|glob| glob.parse().unwrap()).collect());
            Command::Configure {
                settings: SettingsPatch::default(),
                rules: ModerationRulesPatch::default(),
                gate: HealthGatePatch {
                    health_gate,
                    health_gate_exempt: exempt,
                    health_failures: number,
                    ..HealthGatePatch::default()
                },
            }
        },
    )
}

/// Mostly of endpoints that somebody has.
fn health() -> impl Strategy<Value = Command> {
    let urls = ["https://one.example/mcp", "https://two.example/p", "https://three.example/mcp"];
    let fault = prop_oneof![
        2 => Just(Some(HealthFault::Timeout)),
        1 => Just(Some(HealthFault::Status(502))),
        1 => Just(None),
    ];
    let change = (server_name(), select(urls.to_vec()), fault).prop_map(|(server, url, fault)| {
        HealthChange { server, endpoint: Endpoint::parse(url).unwrap(), fault }
    });
    vec(change, 0..4).prop_map(Command::NoteHealth)
}

fn webhook() -> impl Strategy<Value = Command> {
    let id = || select(&["w0", "w1"][..]).prop_map(|id| -> WebhookId { id.parse().unwrap() });
    let settings = || {
        let url = select(&["https://one.example", "https://two.example", ""][..]);
        (url, any::<bool>()).prop_map(|(url, active)| {
            let (acts, kinds) = (vec!["publish".parse().unwrap()], Vec::new());
            WebhookSettings { url: url.into(), acts, kinds, active }
        })
    };
    let place = || option::weighted(0.3, 0..100_u64);
    prop_oneof![
        2 => (id(), settings(), place()).prop_map(|(id, webhook, since)| Command::CreateWebhook { id, webhook, since }),
        2 => (id(), settings(), place())
            .prop_map(|(id, webhook, skip_to)| Command::ChangeWebhook { id, webhook, skip_to }),
        1 => id().prop_map(Command::RemoveWebhook),
        3 => (id(), 0..100_u64, 0..100_u64, any::<bool>())
            .prop_map(|(id, of, to, failing)| Command::WebhookDelivered { id, of, to, failing }),
    ]
}

fn provider_id() -> impl Strategy<Value = IdentityProviderId> {
    select(&PROVIDERS[..]).prop_map(|id| id.parse().unwrap())
}

/// Often the same again, now and then what cannot be.
fn put_provider() -> impl Strategy<Value = Command> {
    let tenant = prop_oneof![
        2 => Just(None),
        1 => select(&TENANTS[..]).prop_map(|id| Some(TenantRule::Fixed(id.parse().unwrap()))),
        1 => Just(Some(TenantRule::Claim("tenant".into()))),
    ];
    (provider_id(), select(&["/roles", "/groups", ""][..]), tenant).prop_map(|(id, claim, tenant)| {
        Command::PutIdentityProvider { id, settings: settings_of(claim, tenant) }
    })
}

/// Of any tokens, known or not, at any time, far ahead too.
fn token_uses() -> impl Strategy<Value = Command> {
    let at = prop_oneof![4 => (0..7_200_u64).prop_map(|seconds| BEGIN.plus_seconds(seconds)), 1 => Just(Timestamp(u64::MAX))];
    vec((token_id(), at), 0..4).prop_map(Command::NoteTokenUses)
}

fn mirror_id() -> impl Strategy<Value = MirrorId> {
    select(&["m0", "m1"][..]).prop_map(|id| id.parse().unwrap())
}

fn put_mirror() -> impl Strategy<Value = Command> {
    let url = select(&["https://one.example", "https://two.example", ""][..]);
    (mirror_id(), url, 0..4_000_u32).prop_map(|(id, url, interval)| {
        let (include, exclude) = (Vec::new(), vec!["b.y/*".parse().unwrap()]);
        Command::PutMirror { id, mirror: MirrorSettings { url: url.into(), include, exclude, interval } }
    })
}

/// Rarely a step: most settings that it could be of have never been.
fn mirror() -> impl Strategy<Value = Command> {
    let step = (0..100_u64, option::of("[a-z]{1,3}")).prop_map(|(of, cursor)| {
        let pass = cursor.map(|cursor| MirrorPass { since: None, cursor, began: BEGIN, newest: None });
        MirrorStep { of, to: MirrorProgress { mark: Some(BEGIN), pass } }
    });
    (mirror_id(), vec(imported(), 0..4), option::weighted(0.2, step))
        .prop_map(|(source, entries, step)| Command::Mirror { source, entries, step })
}

fn give_up() -> impl Strategy<Value = Command> {
    let secrets = vec((0..3_u8).prop_map(|byte| SecretFingerprint([byte; 6])), 0..3);
    (node(), secrets).prop_map(|(node, secrets)| Command::GiveUpSecrets { node, secrets })
}

fn document() -> impl Strategy<Value = ServerJson> {
    (0..DOCUMENTS.len()).prop_map(|number| DOCUMENTS[number].clone())
}

fn edited() -> impl Strategy<Value = ServerJson> {
    (0..TITLED.len(), any::<bool>())
        .prop_map(|(number, titled)| if titled { TITLED[number].clone() } else { DOCUMENTS[number].clone() })
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Active), Just(Status::Deprecated), Just(Status::Deleted)]
}

fn message() -> impl Strategy<Value = Option<String>> {
    option::weighted(0.3, "[a-zé ]{0,12}")
}

fn imported() -> impl Strategy<Value = Imported> {
    let instant = || option::of(prop_oneof![Just(0), Just(u64::MAX), 1_767_000_000..1_768_000_000_u64]);
    (document(), status(), message(), instant(), instant()).prop_map(
        |(document, status, status_message, published_at, updated_at)| Imported {
            document,
            status,
            status_message,
            published_at: published_at.map(Timestamp::from_seconds),
            updated_at: updated_at.map(Timestamp::from_seconds),
        },
    )
}

fn server_name() -> impl Strategy<Value = ServerName> {
    select(&NAMES[..]).prop_map(|name| name.parse().unwrap())
}

fn some_version() -> impl Strategy<Value = Version> {
    select(&VERSIONS[..]).prop_map(version)
}

fn set_status() -> impl Strategy<Value = Command> {
    (server_name(), option::weighted(0.8, some_version()), status(), message())
        .prop_map(|(name, version, status, message)| Command::SetStatus { name, version, status, message })
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        2 => select(&NAMESPACES[..]).prop_map(|namespace| Subject::Namespace(namespace.parse().unwrap())),
        4 => server_name().prop_map(Subject::Server),
        4 => (server_name(), some_version()).prop_map(|(name, version)| Subject::Version(name, version)),
        2 => select(&CLIENTS[..]).prop_map(|id| Subject::Client(id.parse().unwrap())),
        1 => select(&TENANTS[..]).prop_map(|id| Subject::Tenant(id.parse().unwrap())),
        1 => token_id().prop_map(Subject::Token),
        1 => select(&KEYS[..]).prop_map(|key| Subject::Key(key.kid())),
        1 => node().prop_map(Subject::Node),
    ]
}

/// Revoking is rare: it is final, and would soon leave nothing to look at.
pub(crate) fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Suspend),
        2 => Just(Act::Quarantine),
        1 => Just(Act::Revoke),
        6 => Just(Act::Reinstate),
        3 => Just(Act::Approve),
        4 => Just(Act::Verify),
        2 => Just(Act::Unverify),
    ]
}

fn moderate() -> impl Strategy<Value = Command> {
    let case = option::weighted(0.2, "[A-Z]{3}-[0-9]{1,4}");
    (act(), subject(), "[a-z]{0,3}", case).prop_map(|(act, subject, reason, case)| Command::Moderate {
        act,
        subject,
        reason,
        case,
    })
}

/// Mostly what may end, and with an end.
fn order() -> impl Strategy<Value = Order> {
    let act = prop_oneof![3 => Just(Act::Suspend), 2 => Just(Act::Quarantine), 2 => act()];
    let end = option::weighted(0.8, (0_u64..14_400).prop_map(|seconds| BEGIN.plus_seconds(seconds)));
    (act, target(), "[a-z]{1,3}", end).prop_map(|(act, target, reason, expires_at)| Order {
        act,
        target,
        reason,
        case: None,
        expires_at,
    })
}

/// One subject, or some.
fn target() -> impl Strategy<Value = Target> {
    prop_oneof![3 => subject().prop_map(Target::One), 2 => globs()]
}

pub(crate) fn globs() -> impl Strategy<Value = Target> {
    let names = || select(&["*", "a.x/*", "*/one", "b.y/two", "c.z/*"][..]);
    let versions = select(&["*", "1.*", "nightly"][..]);
    prop_oneof![
        names().prop_map(|names| Target::Servers(names.parse().unwrap())),
        (names(), versions).prop_map(|(names, versions)| Target::Versions {
            names: names.parse().unwrap(),
            versions: versions.parse().unwrap(),
        }),
    ]
}

fn token_id() -> impl Strategy<Value = TokenId> {
    // The first operator stays, or most sequences would end in rejections only.
    (1..TOKEN_POOL.len()).prop_map(|number| token(number).id.clone())
}

fn new_token_command() -> impl Strategy<Value = hapi_registry_state::NewToken> {
    let end = option::of((0_u64..7_200).prop_map(|seconds| BEGIN.plus_seconds(seconds)));
    let number = prop_oneof![1 => 0..TOKEN_POOL.len(), 4 => MADE..TOKEN_POOL.len()];
    (number, end).prop_map(|(number, end)| new_token(number, end))
}

fn put_client() -> impl Strategy<Value = Command> {
    let tenant = option::of(select(&["t0", "t1", "t2"][..]));
    let certificates = vec(select(&CERTIFICATES[..]), 0..3);
    (select(&CLIENTS[..]), tenant, 0..4_usize, certificates).prop_map(|(id, tenant, keys, certificates)| {
        Command::put_client(
            id.parse().unwrap(),
            tenant.map(|tenant| tenant.parse().unwrap()),
            KEYS[..keys].to_vec(),
            certificates.into_iter().map(certificate).collect(),
        )
    })
}

fn put_tenant() -> impl Strategy<Value = Command> {
    let globs = || vec(select(&["*", "a.x/*", "b.y/*", "*/one", "b.y/two"][..]), 0..2);
    let private = vec(select(&NAMESPACES[..]), 0..2);
    (select(&TENANTS[..]), option::of(globs()), globs(), any::<bool>(), private, option::of(budget()))
        .prop_map(|(id, allow, block, require_verified, private, connects_per_minute)| {
            let parse = |globs: Vec<&str>| globs.iter().map(|glob| glob.parse().unwrap()).collect();
            let private_namespaces = private.iter().map(|namespace| namespace.parse().unwrap()).collect();
            let (allow, block) = (allow.map(parse), parse(block));
            let tenant = Tenant {
                allow,
                block,
                require_verified,
                private_namespaces,
                strict: false,
                connects_per_minute,
            };
            Command::PutTenant { id: id.parse().unwrap(), tenant }
        })
}

/// Often none, once in a while too large.
fn budget() -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(0), 3 => 1..100_u32, 1 => Just(u32::MAX)]
}

fn settings() -> impl Strategy<Value = Command> {
    let governed = option::of(prop_oneof![3 => Just(Governed::All), 1 => Just(Governed::Verified)]);
    let number = || option::of(prop_oneof![0..200_u32, Just(u32::MAX)]);
    let ttl = (number(), number(), number());
    (governed, ttl, number(), option::of(budget()), option::of(budget())).prop_map(
        |(governed, ttl, key_prepublish, client_connects_per_minute, tenant_connects_per_minute)| {
            let (ttl_default, ttl_min, ttl_max) = ttl;
            Command::UpdateSettings(SettingsPatch {
                governed,
                ttl_default,
                ttl_min,
                ttl_max,
                key_prepublish,
                client_connects_per_minute,
                tenant_connects_per_minute,
                ..SettingsPatch::default()
            })
        },
    )
}

/// Approval is rare: it would soon leave nothing to look at.
fn rules() -> impl Strategy<Value = Command> {
    let new_entries = option::of(prop_oneof![3 => Just(NewEntries::Open), 1 => Just(NewEntries::Approval)]);
    let governed = option::weighted(0.1, Just(Governed::Verified));
    (new_entries, governed, option::of(any::<bool>())).prop_map(|(new_entries, governed, two_person)| {
        Command::ChangeSettings {
            settings: SettingsPatch { governed, ..SettingsPatch::default() },
            rules: ModerationRulesPatch { new_entries, two_person },
        }
    })
}

fn node() -> impl Strategy<Value = NodeId> {
    (1_u64..5).prop_map(NodeId)
}

fn key_command() -> impl Strategy<Value = Command> {
    let kid = || select(&KEYS[..]).prop_map(|key| -> Kid { key.kid() });
    prop_oneof![
        3 => select(&KEYS[..]).prop_map(Command::PublishKey),
        4 => kid().prop_map(Command::ActivateKey),
        1 => kid().prop_map(Command::RetireKey),
        2 => kid().prop_map(Command::RemoveKey),
        1 => (kid(), "[a-z]{0,5}").prop_map(|(kid, reason)| Command::RevokeKey { kid, reason }),
    ]
}
