//! What the console lets through, and what not: every header as somebody with bad intentions would send it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{Cluster, Metrics, Options, Seen, Visitor, document, publish_all, wait_until};
use reqwest::{Method, header};
use serde_json::json;

fn suspension(request: &str) -> [(&str, &str); 4] {
    [("act", "suspend"), ("subject", "server/ai.acme/a"), ("reason", "r"), ("request", request)]
}

fn is_sent_to_sign_in(seen: &Seen) -> bool {
    seen.status == 303 && seen.header("location").starts_with("/console/sign-in?")
}

async fn cluster(size: usize) -> Cluster {
    let cluster = Cluster::start(size).await;
    publish_all(&cluster.publisher(0), &[document("ai.acme/a", "1.0.0")]).await;
    cluster
}

#[tokio::test]
async fn a_session_is_good_at_every_node_and_at_no_other_door() {
    let cluster = cluster(3).await;
    let visitor = Visitor::signed_in(cluster.node(0).http(), cluster.moderator_token()).await;
    assert!(!visitor.cookie.contains(cluster.moderator_token()), "no token lies in the browser");
    for place in 0..3 {
        let there = visitor.at(cluster.node(place).http());
        assert!(there.get("/console/cluster").await.text.contains("Members"));
        // The API never looks at cookies, whatever else is right.
        for path in ["/v1/audit", "/v1/cluster", "/v0/servers", "/v1/servers?query=a", "/v1/seals/1"] {
            assert_eq!(there.get(path).await.status, 401, "{path}");
        }
        let act =
            json!({ "act": "suspend", "subject": { "kind": "server", "id": "ai.acme/a" }, "reason": "r" });
        let sent = there.request(Method::POST, "/v1/moderation").json(&act);
        assert_eq!(there.send(sent).await.status, 401);
    }
    // A form that is sent twice, to two nodes, is done once; without a script there is a page at the end.
    let [first, second] = [1, 2].map(|place| visitor.at(cluster.node(place).http()));
    let done = first.post("/console/moderation", &suspension("0123456789abcdef")).await;
    assert!(done.status == 200 && done.text.contains("no node issues against it any more"), "{}", done.text);
    let again = second.post("/console/moderation", &suspension("0123456789abcdef")).await;
    assert_eq!(again.status, 200, "{}", again.text);
    let audit = cluster.operator(0).get("/v1/audit?limit=1000").await.ok();
    let outcomes = audit["records"].as_array().unwrap().iter().filter(|record| record["act"] == "suspend");
    let outcomes: Vec<_> = outcomes.map(|record| &record["outcome"]).collect();
    assert_eq!(outcomes, ["done", "repeated"]);
}

#[tokio::test]
async fn no_other_site_acts_in_the_name_of_whoever_is_signed_in() {
    let cluster = cluster(1).await;
    let base = cluster.node(0).http().to_owned();
    let visitor = Visitor::signed_in(&base, cluster.moderator_token()).await;
    let form = || visitor.form("/console/moderation", &suspension("0123456789abcdef"));
    let refused = async |request, why: &str| {
        let seen = visitor.send(request).await;
        assert!(seen.status == 403 && seen.text.contains(why), "{why}: {} {}", seen.status, seen.text);
    };
    let not_ours = "was not sent by a page of this console";
    refused(form(), not_ours).await;
    refused(form().header(header::ORIGIN, "https://evil.example"), not_ours).await;
    refused(form().header(header::ORIGIN, "null"), not_ours).await;
    for site in ["cross-site", "same-site", "none"] {
        refused(form().header(header::ORIGIN, &base).header("sec-fetch-site", site), not_ours).await;
    }
    // From here, and made for another session.
    let other = Visitor::signed_in(&base, cluster.moderator_token()).await;
    assert_ne!(other.csrf, visitor.csrf);
    for csrf in ["", "0", &other.csrf, &visitor.csrf[..31]] {
        let thief = visitor.bringing(csrf);
        let seen = thief.post("/console/moderation", &suspension("0123456789abcdef")).await;
        assert!(seen.status == 403 && seen.text.contains("not of your session"), "{csrf}: {}", seen.text);
        assert_eq!(thief.post("/console/sign-out", &[]).await.status, 403);
    }
    cluster.client(0).connect("ai.acme/a").await.ok();
    // Nor is anybody signed in by another site as somebody else.
    let seen = visitor.send(visitor.form("/console/sign-in", &[("token", cluster.operator_token())])).await;
    assert_eq!((seen.status, seen.cookies().len()), (403, 0));
    let by_script = visitor.form("/console/moderation", &suspension("0123456789abcdef"));
    let by_script =
        by_script.header("sec-fetch-site", "same-origin").header(header::ACCEPT, "application/json");
    let seen = visitor.send(by_script).await;
    assert!(seen.status == 200 && seen.json()["index"].is_u64(), "{}", seen.text);
}

#[tokio::test]
async fn a_session_ends_with_its_token_or_by_signing_out() {
    let cluster = cluster(2).await;
    let base = cluster.node(1).http();
    let token = cluster.make_token(json!({ "role": "auditor" })).await;
    let visitor = Visitor::signed_in(base, &token).await;
    assert_eq!(visitor.get("/console/audit").await.status, 200);
    let id = token.split('_').nth(2).unwrap();
    cluster.operator(0).delete(&format!("/v1/tokens/{id}")).await.ok();
    let ended = visitor.get("/console/audit").await;
    assert!(is_sent_to_sign_in(&ended) && ended.header("location").contains("ended"), "{ended:?}");
    assert_eq!(ended.cookies(), ["hapi-console="], "the browser forgets it");
    let by_script =
        visitor.request(Method::GET, "/console/seals/1").header(header::ACCEPT, "application/json");
    let by_script = visitor.send(by_script).await;
    assert_eq!((by_script.status, &by_script.json()["code"]), (401, &json!("unauthenticated")));

    let brief = cluster.make_token(json!({ "role": "auditor", "expires_in": 3 })).await;
    let brief = Visitor::signed_in(base, &brief).await;
    wait_until("the token has ended", async || {
        is_sent_to_sign_in(&brief.get("/console/audit").await).then_some(())
    })
    .await;

    let visitor = Visitor::signed_in(base, cluster.moderator_token()).await;
    let out = visitor.post("/console/sign-out", &[]).await;
    assert_eq!((out.status, out.cookies()), (303, vec!["hapi-console="]));
    // What was altered is none.
    let mut altered = visitor.clone();
    let last = altered.cookie.pop().unwrap();
    altered.cookie.push(if last == 'A' { 'B' } else { 'A' });
    assert!(is_sent_to_sign_in(&altered.get("/console/audit").await));
}

#[tokio::test]
async fn guessing_at_the_console_is_guessing() {
    let options = Options::default().set("HAPI_HTTP_FAILED_AUTH_PER_MINUTE", "5");
    let cluster = Cluster::start_with(1, options).await;
    let base = cluster.node(0).http();
    let mut guesser = Visitor::new(base);
    let mut statuses = Vec::new();
    for number in 0..8 {
        let seen = guesser.sign_in(&format!("guess-{number}")).await;
        assert!(seen.cookies().is_empty());
        statuses.push(seen.status);
    }
    assert_eq!(statuses[..5], [401; 5], "{statuses:?}");
    assert_eq!(statuses[5..], [429; 3], "{statuses:?}");
    let counted = Metrics::of(&cluster.node(0).door()).await;
    assert!(counted.sum("hapi_http_limited_total", &[("limit", "failed_authentications")]) >= 3.0);
    // One bound for both doors; who shows what is known is let in all the same.
    assert_eq!(cluster.node(0).door().with_token("guess").get("/v1/audit").await.status, 429);
    Visitor::signed_in(base, cluster.moderator_token()).await;
}

#[tokio::test]
async fn every_answer_keeps_strangers_out_of_the_page() {
    let cluster = cluster(1).await;
    let mut sly = document("ai.acme/sly", "1.0.0");
    sly["description"] = json!("<img src=x onerror=alert(1)>\"'><script>alert(1)</script>");
    publish_all(&cluster.publisher(0), &[sly]).await;
    let visitor = Visitor::signed_in(cluster.node(0).http(), cluster.moderator_token()).await;
    let stranger = Visitor::new(cluster.node(0).http());
    let catalog = visitor.get("/console").await;
    assert!(!catalog.text.contains("<script>") && !catalog.text.contains("<img src=x"), "{}", catalog.text);
    assert!(catalog.text.contains("&lt;script&gt;alert(1)"), "{}", catalog.text);
    let script = catalog.text.split("<script src=\"").nth(1).unwrap().split('"').next().unwrap();
    for (seen, status) in [
        (catalog.clone(), 200),
        (visitor.get("/console/servers/ai.acme/sly").await, 200),
        (visitor.get("/console/servers/ai.acme/none").await, 404),
        (visitor.get("/console/nowhere/at/all").await, 404),
        (visitor.get("/console/seals/999999").await, 404),
        (visitor.get("/console/seals/x").await, 404),
        (visitor.get("/console?cursor=forged").await, 400),
        (visitor.get("/console/moderation").await, 405),
        (visitor.get(script).await, 200),
        (stranger.get("/console").await, 303),
        (stranger.get("/console/audit").await, 303),
        (stranger.get("/console/sign-in").await, 200),
        (stranger.get("/console/nowhere").await, 404),
    ] {
        assert_eq!(seen.status, status, "{}", seen.text);
        let policy = seen.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(seen.header("x-content-type-options"), "nosniff");
        assert_eq!(seen.header("referrer-policy"), "same-origin");
        assert_eq!(seen.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(seen.header("access-control-allow-origin"), "", "no other site reads it");
        let is_asset = seen.header("content-type").starts_with("text/javascript");
        let kept = if is_asset { "public, max-age=31536000, immutable" } else { "no-store" };
        assert_eq!(seen.header("cache-control"), kept);
        if seen.header("content-type").starts_with("text/html") {
            assert!(!seen.text.contains(" style=") && !seen.text.contains(" onclick="), "{}", seen.text);
        }
    }
    let cookie = Visitor::new(cluster.node(0).http()).sign_in(cluster.moderator_token()).await;
    let cookie = cookie.header("set-cookie").to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("Secure"), "{cookie}");
    // Behind a proxy that speaks TLS.
    let form = stranger.form("/console/sign-in", &[("token", cluster.moderator_token())]);
    let form = form.header("sec-fetch-site", "same-origin").header("x-forwarded-proto", "https");
    let cookie = stranger.send(form).await.header("set-cookie").to_owned();
    assert!(cookie.starts_with("__Host-hapi-console=") && cookie.ends_with("; Secure"), "{cookie}");
    // Nobody is led elsewhere.
    let next = [("token", cluster.moderator_token()), ("next", "//evil.example/console")];
    assert_eq!(stranger.post("/console/sign-in", &next).await.header("location"), "/console");
}

#[tokio::test]
async fn a_catalog_that_anybody_may_read_is_one_here_too_and_a_node_may_have_no_console() {
    let cluster = cluster(1).await;
    cluster.operator(0).patch("/v1/settings", &json!({ "anonymous_reads": true })).await.ok();
    let stranger = Visitor::new(cluster.node(0).http());
    assert!(stranger.get("/console").await.text.contains("ai.acme/a"));
    let page = stranger.get("/console/servers/ai.acme/a").await;
    assert!(page.status == 200 && !page.text.contains("History") && !page.text.contains("data-dialog"));
    cluster.moderator(0).moderate("quarantine", "server", "ai.acme/a").await.ok();
    assert_eq!(stranger.get("/console/servers/ai.acme/a").await.status, 404, "it is hidden, as at the API");
    assert!(is_sent_to_sign_in(&stranger.get("/console/audit").await));
    let without = Cluster::start_with(1, Options::default().set("HAPI_CONSOLE_ENABLED", "false")).await;
    let seen = Visitor::new(without.node(0).http()).get("/console").await;
    assert_eq!((seen.status, &seen.json()["code"]), (404, &json!("not_found")));
}
