//! What came of a line, as text.

use hapi_registry_state::{
    Command, Decision, Listed, Mirrored, Moderated, Outcome, Refusal, Registry, Rejection, Standing,
};

/// An outcome. Rejections are told by their code, and invalid values by what is wrong with them.
pub(crate) fn outcome(registry: &Registry, command: &Command, outcome: &Outcome) -> String {
    match (outcome, command) {
        (Outcome::Done, Command::Publish(document)) => {
            let (name, version) = (document.name(), document.version());
            let latest = registry.server(name).is_some_and(|server| server.latest.as_ref() == Some(version));
            format!("published {name} {version}{}", if latest { " (latest)" } else { "" })
        }
        (Outcome::Done, Command::Edit(document)) => {
            format!("edited {} {}", document.name(), document.version())
        }
        (Outcome::Imported(results), Command::Import(entries)) => {
            let one = |(entry, result): (&hapi_registry_state::Imported, &Result<(), Rejection>)| {
                let (name, version) = (entry.document.name(), entry.document.version());
                match result {
                    Ok(()) => format!("imported {name} {version}\n"),
                    Err(rejection) => format!("{name} {version} {}\n", rejected(rejection)),
                }
            };
            entries.iter().zip(results).map(one).collect()
        }
        (Outcome::StatusChanged { updated }, _) => format!("changed versions: {updated}"),
        (Outcome::Unchanged { since }, _) => format!("unchanged since entry {since}"),
        (Outcome::Repeated { index, .. }, _) => format!("done before, by entry {index}"),
        (Outcome::Rejected(rejection), _) => rejected(rejection),
        (Outcome::Mirrored(results), Command::Mirror { entries, .. }) => {
            let one = |(entry, result): (&hapi_registry_state::Imported, &Result<Mirrored, Rejection>)| {
                let (name, version) = (entry.document.name(), entry.document.version());
                match result {
                    Ok(mirrored) => format!("{name} {version} {}\n", mirrored.as_str()),
                    Err(rejection) => format!("{name} {version} {}\n", rejected(rejection)),
                }
            };
            let lines: String = entries.iter().zip(results).map(one).collect();
            if lines.is_empty() { "done".into() } else { lines }
        }
        (Outcome::Moderated(each), _) => {
            let one =
                |(subject, one): &(hapi_registry_state::Subject, Result<Moderated, Rejection>)| match one {
                    Ok(Moderated::Done) => format!("{subject} done\n"),
                    Ok(Moderated::Unchanged { since }) => {
                        format!("{subject} unchanged since entry {since}\n")
                    }
                    Err(rejection) => format!("{subject} {}\n", rejected(rejection)),
                };
            each.iter().map(one).collect()
        }
        (Outcome::HealthNoted(each), _) => {
            each.iter().map(|(server, noted)| format!("{server} {}\n", noted.as_str())).collect()
        }
        (Outcome::Asked, _) => format!("asked: request {}", registry.applied()),
        (Outcome::Done | Outcome::Imported(_) | Outcome::Mirrored(_), _) => "done".into(),
    }
}

fn rejected(rejection: &Rejection) -> String {
    match rejection {
        Rejection::TooManySubjects { .. } => format!("rejected: {}: {rejection}", rejection.code()),
        Rejection::Invalid(why) => format!("rejected: invalid_request: {why}"),
        _ => format!("rejected: {}", rejection.code()),
    }
}

/// The answer to a connect.
pub(crate) fn decision(decision: &Result<Decision, Refusal>) -> String {
    match decision {
        Ok(yes) => yes_text(yes),
        Err(refusal) => format!("refused: {}: {refusal}", refusal.code()),
    }
}

fn yes_text(yes: &Decision) -> String {
    let mut facts = vec![format!("{} s", yes.ttl)];
    facts.extend(yes.tenant.as_ref().map(|tenant| format!("tenant {tenant}")));
    facts.extend(yes.verified.then(|| "verified".to_owned()));
    facts.extend(yes.jwks_uri.as_ref().map(|uri| format!("jwks {uri}")));
    facts.extend(yes.tls_pin_sha256.as_ref().map(|pin| format!("pin {pin}")));
    let (server, version, endpoint) = (&yes.server, &yes.version, yes.endpoint.as_written());
    let mut text = format!("yes: {} to {server} {version} at {endpoint} ({})", yes.client, facts.join(", "));
    yes.warnings.iter().for_each(|warning| text.push_str(&format!("\nwarning: {warning}")));
    text
}

/// One entry of a list.
pub(crate) fn listed(listed: &Listed) -> String {
    let document = &listed.published.document;
    let governance = &listed.governance;
    let mut facts = vec![listed.status.as_str().to_owned()];
    facts.extend(listed.published.status_message.as_ref().map(|message| format!("({message})")));
    facts.extend(listed.is_latest.then(|| "latest".to_owned()));
    facts.extend(governance.verified.then(|| "verified".to_owned()));
    if governance.moderation != Standing::None {
        let reason = governance.reason.as_deref().unwrap_or_default();
        facts.push(format!("{}: {reason}", governance.moderation.as_str()));
    }
    facts.extend(governance.source.as_ref().map(|source| format!("from {source}")));
    facts.extend(governance.down.as_ref().map(|down| format!("down: {}", down.fault)));
    facts.extend((!governance.connectable).then(|| "not connectable".to_owned()));
    format!("{} {}: {}", document.name(), document.version(), facts.join(", "))
}
