//! From a line of a script to a command.

use crate::{
    line::Line,
    stage::{BEGIN, Stage, seconds},
    world::{Draft, document, public_key},
};
use hapi_registry_state::{
    Act, CertificateName, Command, Endpoint, Gate, Glob, Governed, HealthChange, HealthFault,
    HealthGatePatch, Imported, Kid, MirrorId, MirrorPass, MirrorProgress, MirrorSettings, MirrorStep,
    ModerationRulesPatch, NewEntries, NewToken, Order, ProviderSettings, Role, RoleRule, ServerJson,
    ServerName, ServerRef, SettingsChange, SettingsPatch, SigningAlgorithm, Status, Subject, Target, Tenant,
    TenantRule, WebhookSettings,
};
use serde_json::Map;

/// Reads the rest of a line that begins with `verb`.
pub(crate) fn read(stage: &mut Stage, verb: &str, line: &mut Line) -> Command {
    match verb {
        "bootstrap" => Command::Bootstrap(token(stage, line)),
        "token" => Command::CreateToken(token(stage, line)),
        "used" => used(stage, line),
        "provider" => provider(line),
        "no-provider" => Command::RemoveIdentityProvider(line.parsed()),
        "revoke-token" => Command::RevokeToken(stage.token(&line.word()).id),
        "client" => client(line),
        "tenant" => tenant(line),
        "namespace" => Command::PutNamespace { namespace: line.parsed(), private: line.word() == "private" },
        "settings" => settings(line),
        "publish" => Command::Publish(draft(line)),
        "edit" => Command::Edit(draft(line)),
        "import" => import(stage, line),
        "status" => status(line),
        "suspend" | "quarantine" | "revoke" | "reinstate" | "approve" | "verify" | "unverify" => {
            moderate(stage, verb, line)
        }
        "confirm" => Command::ConfirmAct(line.parsed()),
        "reject" => {
            Command::RejectAct { id: line.parsed(), reason: line.option("reason").unwrap_or_default() }
        }
        "lift" => lift(stage, line),
        "key" => key(stage, line),
        "join" => join(line),
        "drain" => Command::DrainNode(stage.node(&line.word())),
        "leave" => Command::LeaveRoster(stage.node(&line.word())),
        "checkpoint" => Command::Checkpoint,
        "incarnation" => Command::BeginIncarnation {
            incarnation: line.parsed(),
            until: stage.now.plus_seconds(seconds(&line.option("hold").unwrap())),
        },
        "confirm-restore" => Command::ConfirmRestore,
        "give-up" => give_up(stage, line),
        "rotate" => Command::RotateKey(stage.node(&line.word())),
        "follow" => follow(line),
        "unfollow" => Command::RemoveMirror(line.parsed()),
        "mirror" => mirror(stage, line),
        "webhook" => webhook(line),
        "health" => health(stage, line),
        "seal" => Command::Sealed { index: stage.registry.applied() },
        _ => panic!("no such verb: `{verb}`"),
    }
}

fn token(stage: &mut Stage, line: &mut Line) -> NewToken {
    let (name, role): (String, Role) = (line.word(), line.parsed());
    let token = stage.make_token(&name, role);
    let expires_in = line.option("expires").map(|text| seconds(&text));
    NewToken {
        id: token.id,
        hash: token.hash,
        role,
        client: line.option("client").map(|id| id.parse().unwrap()),
        tenant: line.option("tenant").map(|id| id.parse().unwrap()),
        namespaces: parse_all(line.list("namespaces").unwrap_or_default()),
        expires_at: expires_in.map(|seconds| stage.now.plus_seconds(seconds)),
    }
}

/// `ID [issuer=] [audience=] roles= [clients=] [namespaces=] [tenant=] [tenant-claim=]`.
fn provider(line: &mut Line) -> Command {
    let id = line.parsed();
    let namespaces: Vec<Glob> = parse_all(line.list("namespaces").unwrap_or_default());
    let rule = |role: String| {
        let role: Role = role.parse().unwrap();
        let namespaces = if role == Role::Publisher { namespaces.clone() } else { Vec::new() };
        RoleRule { claim: "groups".into(), value: role.to_string(), role, namespaces }
    };
    let fixed = line.option("tenant").map(|id| TenantRule::Fixed(id.parse().unwrap()));
    let settings = ProviderSettings {
        issuer: line.option("issuer").unwrap_or_else(|| "https://idp.example".into()),
        audience: line.option("audience").unwrap_or_else(|| "registry".into()),
        algorithms: vec![SigningAlgorithm::Rs256],
        jwks_url: None,
        roles: line.list("roles").unwrap_or_default().into_iter().map(rule).collect(),
        client_claim: "client_id".into(),
        clients: parse_all(line.list("clients").unwrap_or_default()),
        tenant: fixed.or_else(|| line.option("tenant-claim").map(TenantRule::Claim)),
        console_client_id: None,
    };
    Command::PutIdentityProvider { id, settings }
}

/// `TOKEN [at=]`: it was used so long after the beginning, or now.
fn used(stage: &Stage, line: &mut Line) -> Command {
    let id = stage.token(&line.word()).id;
    let at = line.option("at").map_or(stage.now, |text| BEGIN.plus_seconds(seconds(&text)));
    Command::NoteTokenUses(vec![(id, at)])
}

/// `NODE` and fingerprints, with commas.
fn give_up(stage: &mut Stage, line: &mut Line) -> Command {
    let (node, secrets) = (stage.node(&line.word()), line.list("secrets").unwrap_or_default());
    Command::GiveUpSecrets { node, secrets: parse_all(secrets) }
}

fn parse_all<T: std::str::FromStr<Err: std::fmt::Debug>>(texts: Vec<String>) -> Vec<T> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn client(line: &mut Line) -> Command {
    let keys = line.list("keys").unwrap_or_default();
    let certificates = line.list("certificates").unwrap_or_default();
    Command::put_client(
        line.parsed(),
        line.option("tenant").map(|id| id.parse().unwrap()),
        keys.iter().map(|name| public_key(name)).collect(),
        certificates.iter().map(|name| certificate(name)).collect(),
    )
}

/// `uri:` or `dns:` or `sha256:`, and what it is.
pub(crate) fn certificate(text: &str) -> CertificateName {
    match text.split_once(':').unwrap() {
        ("uri", uri) => CertificateName::Uri(uri.into()),
        ("dns", name) => CertificateName::Dns(name.into()),
        ("sha256", hash) => CertificateName::Thumbprint(hash.into()),
        _ => panic!("no such name of a certificate: `{text}`"),
    }
}

fn tenant(line: &mut Line) -> Command {
    let tenant = Tenant {
        allow: line.list("allow").map(parse_all),
        block: parse_all(line.list("block").unwrap_or_default()),
        require_verified: line.flag("require-verified"),
        private_namespaces: parse_all(line.list("private").unwrap_or_default()),
        strict: line.flag("strict"),
        connects_per_minute: line.option("connects_per_minute").map(|text| text.parse().unwrap()),
    };
    Command::PutTenant { id: line.parsed(), tenant }
}

fn settings(line: &mut Line) -> Command {
    let mut number = |key| line.option(key).map(|text| text.parse().unwrap());
    let mut patch = SettingsPatch {
        ttl_default: number("ttl_default"),
        ttl_min: number("ttl_min"),
        ttl_max: number("ttl_max"),
        key_prepublish: number("key_prepublish"),
        client_connects_per_minute: number("client_connects_per_minute"),
        tenant_connects_per_minute: number("tenant_connects_per_minute"),
        ..SettingsPatch::default()
    };
    patch.governed = line.option("governed").map(|text| match &*text {
        "all" => Governed::All,
        "verified" => Governed::Verified,
        _ => panic!("governed is all or verified"),
    });
    patch.strict_servers = line.list("strict_servers").map(parse_all);
    let new_entries = line.option("new_entries").map(|text| match &*text {
        "open" => NewEntries::Open,
        "approval" => NewEntries::Approval,
        _ => panic!("new_entries is open or approval"),
    });
    let two_person = line.option("two_person").map(|text| text.parse().unwrap());
    let (rules, gate) = (ModerationRulesPatch { new_entries, two_person }, gate(line));
    SettingsChange { settings: patch, rules, gate }.command()
}

fn gate(line: &mut Line) -> HealthGatePatch {
    let health_gate = line.option("health_gate").map(|text| match &*text {
        "on" => Gate::On,
        "off" => Gate::Off,
        _ => panic!("health_gate is on or off"),
    });
    let health_gate_servers = line.list("health_gate_servers").map(globs);
    let health_gate_exempt = line.list("health_gate_exempt").map(globs);
    let mut number = |key| line.option(key).map(|text| text.parse().unwrap());
    HealthGatePatch {
        health_gate,
        health_gate_servers,
        health_gate_exempt,
        health_interval: number("health_interval"),
        health_timeout_ms: number("health_timeout_ms"),
        health_failures: number("health_failures"),
        health_successes: number("health_successes"),
    }
}

/// `none` is no glob.
fn globs(texts: Vec<String>) -> Vec<Glob> {
    parse_all(texts.into_iter().filter(|text| text != "none").collect())
}

/// `NAME [at=URL] timeout|unreachable|502|up`, as often as wanted: what came of asking a server, there or where it is asked
/// now.
fn health(stage: &Stage, line: &mut Line) -> Command {
    let mut changes = Vec::new();
    while line.has_words() {
        let server: ServerName = line.parsed();
        let endpoint = match line.option("at") {
            Some(url) => Endpoint::parse(&url).unwrap(),
            None => stage.registry.probed(&server).unwrap(),
        };
        let fault = match &*line.word() {
            "up" => None,
            "timeout" => Some(HealthFault::Timeout),
            "unreachable" => Some(HealthFault::Unreachable),
            status => Some(HealthFault::Status(status.parse().unwrap())),
        };
        changes.push(HealthChange { server, endpoint, fault });
    }
    Command::NoteHealth(changes)
}

/// `NAME VERSION`, with as many `url=` and `sse=` as there are remotes, `remotes=none`, and `var:NAME=a|b` for
/// a variable with choices, `var:NAME=` for one without. Else there is one remote, named after the server.
fn draft(line: &mut Line) -> ServerJson {
    let (name, version) = (line.word(), line.word());
    let typed = |kind: &str, urls: Vec<(String, String)>| -> Vec<(String, String)> {
        urls.into_iter().map(|(_, url)| (kind.to_owned(), url)).collect()
    };
    let mut remotes = typed("sse", line.options("sse"));
    remotes.extend(typed("streamable-http", line.options("url")));
    if line.option("remotes").is_none() && remotes.is_empty() {
        remotes.push(("streamable-http".into(), default_url(&name)));
    }
    let choices =
        |text: &str| text.split('|').filter(|choice| !choice.is_empty()).map(str::to_owned).collect();
    let defaults = line.options("default:");
    let default =
        |name: &str| defaults.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
    let variables = line.options("var:");
    document(&Draft {
        name,
        version,
        description: line.option("description"),
        title: line.option("title"),
        remotes,
        variables: variables
            .into_iter()
            .map(|(name, text)| (name.clone(), choices(&text), default(&name)))
            .collect(),
        connect: line
            .options("connect:")
            .into_iter()
            .map(|(key, value)| (key, value.into()))
            .collect::<Map<_, _>>(),
    })
}

/// `ai.acme/weather` is at `https://acme.ai/weather`.
fn default_url(name: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap();
    let host: Vec<_> = namespace.split('.').rev().collect();
    format!("https://{}/{name}", host.join("."))
}

fn import(stage: &Stage, line: &mut Line) -> Command {
    let status = line.option("status").map_or(Status::Active, |text| text.parse().unwrap());
    let ago = line.option("published").map(|text| seconds(text.strip_suffix("-ago").unwrap()));
    let published_at = ago.map(|ago| hapi_registry_state::Timestamp(stage.now.0 - ago * 1_000_000));
    let status_message = line.option("message");
    let mut entries = Vec::new();
    loop {
        let (document, status_message) = (draft(line), status_message.clone());
        entries.push(Imported { document, status, status_message, published_at, updated_at: None });
        if !line.flag_next("and") {
            return Command::Import(entries);
        }
    }
}

/// `create ID URL [acts=] [kinds=] [paused] [since=]`, `change` with `[skip=]`, `remove ID`, `delivered ID of= to= [failing]`.
fn webhook(line: &mut Line) -> Command {
    let (verb, id) = (line.word(), line.parsed());
    let mut number = |name: &str| line.option(name).map(|text| text.parse().unwrap());
    match &*verb {
        "remove" => return Command::RemoveWebhook(id),
        "delivered" => {
            let (of, to) = (number("of").unwrap(), number("to").unwrap());
            return Command::WebhookDelivered { id, of, to, failing: line.flag("failing") };
        }
        _ => {}
    }
    let (since, skip_to) = (number("since"), number("skip"));
    let webhook = WebhookSettings {
        acts: parse_all(line.list("acts").unwrap_or_default()),
        kinds: parse_all(line.list("kinds").unwrap_or_default()),
        active: !line.flag("paused"),
        url: line.word(),
    };
    match &*verb {
        "create" => Command::CreateWebhook { id, webhook, since },
        _ => Command::ChangeWebhook { id, webhook, skip_to },
    }
}

/// `ID URL [include= [exclude=] [interval=]`.
fn follow(line: &mut Line) -> Command {
    let mirror = MirrorSettings {
        include: parse_all(line.list("include").unwrap_or_default()),
        exclude: parse_all(line.list("exclude").unwrap_or_default()),
        interval: line.option("interval").map_or(300, |text| text.parse().unwrap()),
        url: String::new(),
    };
    let (id, url) = (line.parsed(), line.word());
    Command::PutMirror { id, mirror: MirrorSettings { url, ..mirror } }
}

/// `ID [cursor=] [mark=] [of=]`, and what it says of one version: `NAME VERSION [status=] [message=] [changed=]`. The
/// instants are so long after the beginning.
fn mirror(stage: &Stage, line: &mut Line) -> Command {
    let source: MirrorId = line.parsed();
    let instant = |text: String| BEGIN.plus_seconds(seconds(&text));
    let pass =
        line.option("cursor").map(|cursor| MirrorPass { since: None, cursor, began: BEGIN, newest: None });
    let mark = line.option("mark").map(instant);
    let of = line.option("of").map(|text| text.parse().unwrap());
    let present = stage.registry.mirror(&source).map_or(0, |mirror| mirror.index);
    let moves = pass.is_some() || mark.is_some();
    let step = moves.then(|| MirrorStep { of: of.unwrap_or(present), to: MirrorProgress { mark, pass } });
    let status = line.option("status").map_or(Status::Active, |text| text.parse().unwrap());
    let (status_message, updated_at) = (line.option("message"), line.option("changed").map(instant));
    let mut entries = Vec::new();
    while line.has_words() {
        let (document, status_message) = (draft(line), status_message.clone());
        entries.push(Imported { document, status, status_message, published_at: Some(BEGIN), updated_at });
        line.flag_next("and");
    }
    Command::Mirror { source, entries, step }
}

fn status(line: &mut Line) -> Command {
    let ServerRef { name, version } = line.parsed();
    Command::SetStatus { name, version, status: line.parsed(), message: line.option("message") }
}

/// `KIND ID [reason=] [case=] [for=]`; an id with `*` is a glob.
fn moderate(stage: &mut Stage, act: &str, line: &mut Line) -> Command {
    let (act, target) = (act.parse::<Act>().unwrap(), target(stage, line));
    let (reason, case) = (line.option("reason").unwrap_or_default(), line.option("case"));
    match (target, line.option("for").map(|text| stage.now.plus_seconds(seconds(&text)))) {
        (Target::One(subject), None) => Command::Moderate { act, subject, reason, case },
        (target, expires_at) => Command::Order(Order { act, target, reason, case, expires_at }),
    }
}

fn target(stage: &mut Stage, line: &mut Line) -> Target {
    let (kind, id) = (line.word(), line.word());
    match id.contains('*') {
        true => Target::parse_glob(&kind, &id).unwrap(),
        false => Target::One(named(stage, &kind, &id)),
    }
}

/// Tokens, keys and nodes go by the names that the page gives them.
fn named(stage: &mut Stage, kind: &str, id: &str) -> Subject {
    match kind {
        "token" => Subject::Token(stage.token(id).id),
        "node" => Subject::Node(stage.node(id)),
        "key" => {
            let kid = public_key(id).kid();
            stage.name_key(id, &kid);
            Subject::Key(kid)
        }
        _ => Subject::parse(kind, id).unwrap(),
    }
}

/// `KIND ID [of=]`: of the present record, unless it names another one.
fn lift(stage: &mut Stage, line: &mut Line) -> Command {
    let (kind, id) = (line.word(), line.word());
    let subject = named(stage, &kind, &id);
    let present = stage.registry.moderation(&subject).map_or(0, |record| record.index);
    let index = line.option("of").map_or(present, |text| text.parse().unwrap());
    Command::Lift { subject, index }
}

fn key(stage: &mut Stage, line: &mut Line) -> Command {
    let (act, name) = (line.word(), line.word());
    let public = public_key(&name);
    let kid: Kid = public.kid();
    stage.name_key(&name, &kid);
    match &*act {
        "publish" => Command::PublishKey(public),
        "activate" => Command::ActivateKey(kid),
        "retire" => Command::RetireKey(kid),
        "remove" => Command::RemoveKey(kid),
        "revoke" => Command::RevokeKey { kid, reason: line.option("reason").unwrap_or_default() },
        _ => panic!("no such act on a key: `{act}`"),
    }
}

fn join(line: &mut Line) -> Command {
    let http = line.option("http").unwrap_or_else(|| format!("https://{}.cluster", line.by()));
    Command::JoinRoster { http, version: line.option("version").unwrap_or_else(|| "1.0.0".into()) }
}
