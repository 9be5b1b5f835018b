//! What a script asks of the registry, and the answers as text.

use crate::{
    line::Line,
    stage::{Stage, seconds},
    transcript,
    world::public_key,
};
use hapi_registry_state::{
    Caller, ConnectRequest, EMPTY_CHAIN, Endpoint, GivenUp, Issuer, ListQuery, Listed, Mirror, MirrorId,
    Position, Resource, ServerRef, Timestamp, VersionFilter, Viewer,
};

/// `connect REF [client=] [tenant=] [var:x=] [ttl=] [node=] [key=] [own-key=] [certificate=] [lasts=] by NAME`; with a key
/// of its own, or with a certificate of these names, a client shows no token.
pub(crate) fn connect(stage: &mut Stage, mut line: Line) -> String {
    let credential = match (line.option("own-key"), line.list("certificate")) {
        (Some(key), _) => stage.proof(line.by(), &key),
        (None, Some(names)) => {
            stage.certificate(&names, &line.option("lasts").unwrap_or_else(|| "1m".into()))
        }
        (None, None) => stage.credential(line.by()),
    };
    let request = ConnectRequest {
        server: line.parsed(),
        client_id: line.option("client"),
        tenant_id: line.option("tenant"),
        variables: line.options("var:").into_iter().collect(),
        ttl: line.option("ttl").map(|text| text.parse().unwrap()),
    };
    let node = line.option("node").unwrap_or_else(|| "n1".into());
    let key = line.option("key").unwrap_or_else(|| "k1".into());
    let issuer = Issuer { node: stage.node(&node), kid: public_key(&key).kid() };
    line.end();
    transcript::decision(&stage.registry.decide(stage.now, &credential, &request, &issuer))
}

/// `list [limit=] [after=NAME@VERSION] [rank=] [since=] [search=] [version=] [deleted] by NAME`.
pub(crate) fn list(stage: &mut Stage, mut line: Line) -> String {
    let caller = caller(stage, &line);
    let rank = line.option("rank").map(|text| text.parse().unwrap());
    let position = |text: String| -> Position {
        let place: ServerRef = text.parse().unwrap();
        Position { rank, name: place.name, version: place.version.unwrap() }
    };
    let query = ListQuery {
        after: line.option("after").map(position),
        limit: line.option("limit").map_or(100, |text| text.parse().unwrap()),
        updated_since: line.option("since").map(|text| since(&text)),
        search: line.option("search"),
        version: line.option("version").map_or(VersionFilter::Any, version_filter),
        include_deleted: line.flag("deleted"),
    };
    line.end();
    let page = stage.registry.list(&query, viewer(&caller));
    let mut text = lines(&page.items);
    if let Some(Position { rank, name, version }) = page.next {
        let rank = rank.map(|rank| format!(" rank {rank}")).unwrap_or_default();
        text.push_str(&format!("next: after {name}@{version}{rank}"));
    }
    text
}

/// So long after the beginning, like `at`.
fn since(text: &str) -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00Z").unwrap().plus_seconds(seconds(text))
}

fn version_filter(text: String) -> VersionFilter {
    match &*text {
        "latest" => VersionFilter::Latest,
        exact => VersionFilter::Exact(exact.parse().unwrap()),
    }
}

/// `versions NAME [deleted] by NAME`.
pub(crate) fn versions(stage: &mut Stage, mut line: Line) -> String {
    let caller = caller(stage, &line);
    let (deleted, name) = (line.flag("deleted"), line.parsed());
    line.end();
    lines(&stage.registry.versions(&name, deleted, viewer(&caller)))
}

/// `get REF [deleted] by NAME`.
pub(crate) fn get(stage: &mut Stage, mut line: Line) -> String {
    let caller = caller(stage, &line);
    let (deleted, ServerRef { name, version }) = (line.flag("deleted"), line.parsed());
    line.end();
    let found = stage.registry.version(&name, version.as_ref(), deleted, viewer(&caller));
    lines(&found.into_iter().collect::<Vec<_>>())
}

fn lines(items: &[Listed]) -> String {
    match items {
        [] => "nothing\n".into(),
        items => items.iter().map(|item| transcript::listed(item) + "\n").collect(),
    }
}

/// Who looks; `anyone` is nobody in particular.
fn caller(stage: &Stage, line: &Line) -> Option<Caller> {
    match line.by() {
        "anyone" => None,
        name => Some(stage.registry.authenticate(&stage.credential(name), stage.now).unwrap()),
    }
}

fn viewer(caller: &Option<Caller>) -> Viewer<'_> {
    caller.as_ref().map_or(Viewer::Anonymous, Viewer::Caller)
}

/// `audit [last=N]`: the newest records, and whether the whole chain hashes to its head.
pub(crate) fn audit(stage: &mut Stage, mut line: Line) -> String {
    let last: usize = line.option("last").map_or(usize::MAX, |text| text.parse().unwrap());
    line.end();
    let records: Vec<_> = stage.registry.audit_records().collect();
    let newest = &records[records.len().saturating_sub(last)..];
    let shown = newest.iter().map(|record| {
        let reason = if record.reason.is_empty() { String::new() } else { format!(" ({})", record.reason) };
        let (index, actor, act, subject) = (record.index, &record.actor, &record.act, &record.subject);
        let each = record.subjects.iter();
        let each: String = each.map(|one| format!("  {}: {}\n", one.subject, one.outcome)).collect();
        format!("{index} {actor} {act} {subject}: {}{reason}\n{each}", record.outcome)
    });
    let head = records.iter().fold(EMPTY_CHAIN, |head, record| record.chain(&head));
    let holds = if head == stage.registry.audit_head() { "the chain holds" } else { "the chain is broken" };
    shown.collect::<String>() + holds
}

/// `webhooks`: who is told, up to where that has come, and of what they are still to be told.
pub(crate) fn webhooks(stage: &mut Stage, line: Line) -> String {
    line.end();
    let shown = stage.registry.webhooks().map(|(id, webhook)| {
        let wanted =
            stage.registry.events_after(webhook.delivered).filter(|event| webhook.settings.wants(event));
        let wanted: String = wanted.map(|event| format!(" {}", event.record.index)).collect();
        let state = match (webhook.settings.active, webhook.failing_since) {
            (false, _) => ", paused",
            (true, Some(_)) => ", failing",
            (true, None) => "",
        };
        let (url, delivered) = (&webhook.settings.url, webhook.delivered);
        format!("{id} {url}: up to {delivered}{state}; then:{wanted}")
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// `events [since=N]`: what was done, and to which versions, where the act was for many.
pub(crate) fn events(stage: &mut Stage, mut line: Line) -> String {
    let since = line.option("since").map_or(0, |text| text.parse().unwrap());
    line.end();
    let shown = stage.registry.events_after(since).map(|event| {
        let record = event.record;
        let changes = event.changes.iter();
        let changes = changes.map(|it| format!("\n  {} {} {}", it.what.as_str(), it.name, it.version));
        format!("{} {} {}{}", record.index, record.act, record.subject, changes.collect::<String>())
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// `floors [since=N]`: who has a floor above an index, and the keys of which everything is dead.
pub(crate) fn floors(stage: &mut Stage, mut line: Line) -> String {
    let since = line.option("since").map_or(0, |text| text.parse().unwrap());
    line.end();
    let floors =
        stage.registry.floors_above(since).map(|(subject, index)| format!("{subject} below {index}\n"));
    let keys = stage.registry.dead_keys().map(|kid| format!("key/{kid}\n"));
    match floors.chain(keys).collect::<String>() {
        text if text.is_empty() => "nothing is dead".into(),
        text => text,
    }
}

/// `resource URL by NAME`: what an OAuth client means by a URL.
pub(crate) fn resource(stage: &mut Stage, mut line: Line) -> String {
    let tenant = caller(stage, &line).and_then(|caller| caller.tenant);
    let endpoint = Endpoint::parse(&line.word()).unwrap();
    line.end();
    match stage.registry.resource(&endpoint, tenant.as_ref()) {
        None => "nobody's".into(),
        Some(Resource { server, variables }) => {
            let values = variables.iter().map(|(name, value)| format!(" {name}={value}"));
            format!("{}{}", text_of(&server), values.collect::<String>())
        }
    }
}

fn text_of(server: &ServerRef) -> String {
    let version = server.version.as_ref().map(|version| format!("@{version}"));
    format!("{}{}", server.name, version.unwrap_or_default())
}

/// `keys`: all keys and how they stand.
pub(crate) fn keys(stage: &mut Stage, line: Line) -> String {
    line.end();
    let mut keys: Vec<_> = stage.registry.keys().collect();
    keys.sort_by_key(|(_, key)| (key.node, key.published_at, key.state.as_str()));
    let text = |(kid, key): (_, &hapi_registry_state::SigningKey)| {
        format!("{kid} of {}: {}\n", key.node, key.state.as_str())
    };
    keys.into_iter().map(text).collect()
}

/// `given-up`: the cluster secrets that a removed node knows.
pub(crate) fn given_up(stage: &mut Stage, line: Line) -> String {
    line.end();
    let given_up = stage.registry.given_up();
    given_up
        .map(|(secret, GivenUp { node, index, .. })| format!("{secret}: {node}, entry {index}\n"))
        .collect()
}

/// `roster`: all members and whether they issue.
pub(crate) fn roster(stage: &mut Stage, line: Line) -> String {
    line.end();
    let text = |(node, member): (_, &hapi_registry_state::Member)| {
        format!("{node} at {}: {:?}\n", member.http, member.state).to_lowercase()
    };
    stage.registry.roster().map(text).collect()
}

/// `mirrors`: how far each has come, and how many versions it has brought.
pub(crate) fn mirrors(stage: &mut Stage, line: Line) -> String {
    line.end();
    let after = |at: Timestamp| format!("{} s", at.seconds() - crate::stage::BEGIN.seconds());
    let text = |(id, mirror): (&MirrorId, &Mirror)| {
        let (mark, pass) = (mirror.progress.mark, &mirror.progress.pass);
        let mark = mark.map(|mark| format!(", has all until {}", after(mark)));
        let pass = pass.as_ref().map(|pass| format!(", is at {}", pass.cursor));
        let (count, url) = (stage.registry.mirrored_from(id), &mirror.settings.url);
        format!("{id} {url}: {count} versions{}{}\n", mark.unwrap_or_default(), pass.unwrap_or_default())
    };
    match stage.registry.mirrors().map(text).collect::<String>() {
        text if text.is_empty() => "nobody is followed".into(),
        text => text,
    }
}

/// `last-use TOKEN`: so long after the beginning.
pub(crate) fn last_use(stage: &Stage, mut line: Line) -> String {
    let id = stage.token(&line.word()).id;
    line.end();
    let use_of = stage.registry.token_use(&id);
    use_of.map_or_else(|| "never".into(), |at| format!("{} s", at.seconds() - crate::stage::BEGIN.seconds()))
}
