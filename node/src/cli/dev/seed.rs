//! The first run: an operator, a tenant, a token for each role, and the sample catalog.

use super::folder::Folder;
use super::plan::Plan;
use super::ports::loopback;
use super::tokens::Tokens;
use crate::cli::remote::TIMEOUT;
use crate::cli::seal::Follow;
use crate::cli::session::Session;
use crate::cli::{Failure, Output, bootstrap, new_token, sample, secret_file};
use crate::secret_files::read_secret;
use hapi_client::{ApiError, Client, Method};
use hapi_raft::BootstrapError;
use hapi_registry_state::Role;
use serde_json::{Value, json};

/// The tenant of the client that the walk-through connects as.
const TENANT: &str = "dev";
/// That client.
const CLIENT: &str = "demo";

/// Makes everything that a new cluster lacks. Interrupted, it is simply done again.
pub(super) async fn seed(folder: &Folder, plan: &Plan) -> Result<Tokens, Failure> {
    let operator_token = operator_token(folder, plan).await?;
    let operator = session(plan, &operator_token)?;
    let tenant = json!({ "block": [sample::BLOCKED] });
    govern(&operator, Method::PUT, &format!("/v1/tenants/{TENANT}"), tenant).await?;
    // The almanac is an `http` endpoint on this machine, which only a development cluster may publish.
    let settings = json!({ "anonymous_reads": true, "allow_insecure_endpoints": true });
    govern(&operator, Method::PATCH, "/v1/settings", settings).await?;
    let tokens = tokens(&operator, operator_token).await?;
    let catalog =
        sample::catalog().map_err(|error| Failure::refused(format!("the sample catalog: {error}")))?;
    operator.send(Method::POST, "/v1/import", catalog).await?;
    publish_almanac(plan, &tokens).await?;
    moderate(plan, &tokens).await?;
    tokens.save(folder)?;
    // From here on it stands in the file of all tokens. It may be left over without harm.
    let _ = std::fs::remove_file(folder.operator_token());
    Ok(tokens)
}

/// The first operator token. It is in its file before the cluster knows it, so that no interruption loses it.
async fn operator_token(folder: &Folder, plan: &Plan) -> Result<String, Failure> {
    let file = folder.operator_token();
    let again = file.exists();
    if !again {
        secret_file::create(&file, &new_token::mint_operator())?;
    }
    let token = secret_file::read(&file)?;
    let secret = read_secret(&folder.secret(String::new)?)?;
    match bootstrap::propose(&secret, &loopback(plan.nodes[0].peer).to_string(), &token).await {
        Ok(()) => Ok(token),
        // The run before was interrupted after this step.
        Err(BootstrapError::Refused(_)) if again => Ok(token),
        Err(error) => Err(Failure::from(error).hint("use --fresh to begin anew")),
    }
}

async fn tokens(operator: &Session, operator_token: String) -> Result<Tokens, Failure> {
    let mut tokens = vec![(Role::Operator, operator_token)];
    for (role, body) in [
        (Role::Moderator, json!({})),
        (Role::Publisher, json!({ "namespaces": sample::PUBLISHED })),
        (Role::Client, json!({ "client": CLIENT, "tenant": TENANT })),
        (Role::Auditor, json!({})),
    ] {
        tokens.push((role, create(operator, role, body).await?));
    }
    Ok(Tokens(tokens))
}

async fn create(operator: &Session, role: Role, mut body: Value) -> Result<String, Failure> {
    body["role"] = json!(role.as_str());
    let answer = operator.send(Method::POST, "/v1/tokens", body).await?;
    let text = answer["token"].as_str().map(str::to_owned);
    text.ok_or_else(|| Failure::refused(format!("no token of role {role} came back")))
}

/// Published as anybody would, but for its being there already when the run before was interrupted.
async fn publish_almanac(plan: &Plan, tokens: &Tokens) -> Result<(), Failure> {
    let publisher = session(plan, token(tokens, Role::Publisher))?;
    let document = sample::almanac(&plan.almanac_url());
    match publisher.client().request(Method::POST, "/v0.1/publish", Some(document)).await {
        Err(ApiError::Refused(problem)) if problem.code == "version_exists" => Ok(()),
        published => Ok(published.map(drop)?),
    }
}

fn token(tokens: &Tokens, wanted: Role) -> &str {
    tokens.0.iter().find(|(role, _)| *role == wanted).map_or("", |(_, text)| text)
}

/// What moderators have done before the walk-through begins.
async fn moderate(plan: &Plan, tokens: &Tokens) -> Result<(), Failure> {
    let moderator = session(plan, token(tokens, Role::Moderator))?;
    for name in sample::VERIFIED {
        act(&moderator, "verify", name, "reviewed by the platform team").await?;
    }
    act(
        &moderator,
        "suspend",
        sample::SUSPENDED,
        "answers with pages that it was not asked for; under review",
    )
    .await
}

async fn act(moderator: &Session, act: &str, name: &str, reason: &str) -> Result<(), Failure> {
    let subject = json!({ "kind": "server", "id": name });
    let body = json!({ "act": act, "subject": subject, "reason": reason });
    govern(moderator, Method::POST, "/v1/moderation", body).await
}

/// A cluster that has just formed binds its nodes only after the length of a lease.
async fn govern(session: &Session, method: Method, path: &str, body: Value) -> Result<(), Failure> {
    Follow::default().write(session, method, path, Some(body)).await.map(drop)
}

fn session(plan: &Plan, token: &str) -> Result<Session, Failure> {
    let client = Client::builder().nodes(plan.urls()).credential(token).timeout(TIMEOUT).build()?;
    Ok(Session::new(client, Output::Json, true))
}
