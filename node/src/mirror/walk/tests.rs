#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use super::*;
use crate::{config, mirror::source::Bounds, outbound::Outbound};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// What a source does when it is asked for the nth time.
type Answer = fn(usize, &Uri) -> Response;

#[derive(Clone)]
struct Shared {
    answer: Answer,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn serve(State(shared): State<Shared>, uri: Uri) -> Response {
    let number = {
        let mut asked = shared.asked.lock().unwrap();
        asked.push(uri.to_string());
        asked.len()
    };
    (shared.answer)(number, &uri)
}

/// A source that answers so, and what it was asked.
async fn source(answer: Answer) -> (Source, Arc<Mutex<Vec<String>>>) {
    let shared = Shared { answer, asked: Arc::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(serve).with_state(shared.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let bounds = Bounds { bytes: 1 << 20, patience: Duration::from_millis(500) };
    let settings = config::Outbound { allow_private: true, dns_server: None };
    let outbound = Outbound::new(&settings).unwrap();
    (Source::new(&url, bounds, &outbound).unwrap(), shared.asked)
}

fn list(names: &[&str], next: Option<&str>) -> Response {
    let servers: Vec<Value> = names.iter().map(|name| json!({ "server": { "name": name } })).collect();
    axum::Json(json!({ "servers": servers, "metadata": { "nextCursor": next } })).into_response()
}

/// Walks to the end: how many entries there were, or what went wrong, without where the source listens.
async fn walk(answer: Answer) -> String {
    let (source, asked) = source(answer).await;
    let url = source.url().to_owned();
    let mut walk = Walk::new(source, Question::default());
    let mut count = 0;
    let said = loop {
        match walk.next().await {
            Ok(Some(page)) => count += page.entries.len(),
            Ok(None) => break format!("{count} entries"),
            Err(error) => break error.to_string().replace(&url, "SOURCE"),
        }
    };
    format!("{said} ({} questions)", asked.lock().unwrap().len())
}

#[tokio::test]
async fn every_page_is_read_and_the_cursor_is_passed_on_escaped() {
    let (source, asked) = source(|number, _| match number {
        1 => list(&["a", "b"], Some("b:1 &?")),
        2 => list(&[], Some("c")),
        _ => list(&["c"], None),
    })
    .await;
    let mut walk = Walk::new(source, Question::default());
    let mut pages = Vec::new();
    while let Some(page) = walk.next().await.unwrap() {
        pages.push(page.entries.len());
    }
    assert_eq!(pages, [2, 0, 1]);
    insta::assert_snapshot!(asked.lock().unwrap().join("\n"), @r"
    /v0.1/servers?limit=100&include_deleted=true
    /v0.1/servers?limit=100&include_deleted=true&cursor=b%3A1+%26%3F
    /v0.1/servers?limit=100&include_deleted=true&cursor=c
    ");
}

#[tokio::test]
async fn an_older_api_is_found_and_remembered() {
    let (source, asked) = source(|number, uri| {
        let old = uri.path() == "/v0/servers";
        if old {
            list(&["a"], (number == 2).then_some("next"))
        } else {
            StatusCode::NOT_FOUND.into_response()
        }
    })
    .await;
    let mut walk = Walk::new(source, Question::default());
    while walk.next().await.unwrap().is_some() {}
    let paths: Vec<_> =
        asked.lock().unwrap().iter().map(|uri| uri.split('?').next().unwrap().to_owned()).collect();
    assert_eq!(paths, ["/v0.1/servers", "/v0/servers", "/v0/servers"]);
}

#[tokio::test]
async fn a_source_that_is_broken_or_hostile_is_named_and_left() {
    let said = [
        walk(|_, _| (StatusCode::INTERNAL_SERVER_ERROR, "the database is gone").into_response()).await,
        walk(|_, _| ([(header::CONTENT_TYPE, "text/html")], "<html>Welcome</html>").into_response()).await,
        walk(|_, _| "{\"servers\": [{\"server\"".into_response()).await,
        walk(|_, _| "{\"items\": []}".into_response()).await,
        walk(|_, _| "{\"servers\": null}".into_response()).await,
        walk(|_, _| "x".repeat(2 << 20).into_response()).await,
        walk(|_, _| {
            let pieces = (0..64).map(|_| Ok::<_, std::io::Error>("x".repeat(1 << 16)));
            Body::from_stream(futures::stream::iter(pieces)).into_response()
        })
        .await,
        walk(|_, _| (StatusCode::FOUND, [(header::LOCATION, "http://169.254.0.1/latest")]).into_response())
            .await,
        walk(|_, _| {
            Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>()).into_response()
        })
        .await,
        walk(|_, _| list(&["a"], Some("same"))).await,
        walk(|number, _| list(&["a"], Some(&number.to_string()))).await,
        walk(|number, _| list(&[], Some(&number.to_string()))).await,
        walk(|number, _| list(&[&number.to_string()], Some(&"x".repeat(5_000)))).await,
        walk(|_, _| (StatusCode::NOT_FOUND, "no such page").into_response()).await,
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    SOURCE/v0.1/servers answers 500 Internal Server Error: the database is gone (1 questions)
    SOURCE/v0.1/servers answers with no ServerList: expected value at line 1 column 1 (1 questions)
    SOURCE/v0.1/servers answers with no ServerList: EOF while parsing an object at line 1 column 22 (1 questions)
    SOURCE/v0.1/servers answers with no ServerList: missing field `servers` at line 1 column 13 (1 questions)
    0 entries (1 questions)
    SOURCE/v0.1/servers answers with more than 1 MiB (1 questions)
    SOURCE/v0.1/servers answers with more than 1 MiB (1 questions)
    SOURCE/v0.1/servers leads to http://169.254.0.1/latest, and nobody is followed elsewhere: name that registry itself (1 questions)
    SOURCE/v0.1/servers has not answered in full within 0.5 s (1 questions)
    SOURCE/v0.1/servers has no end: a cursor comes again (2 questions)
    SOURCE/v0.1/servers has no end: the same page comes again under another cursor (2 questions)
    SOURCE/v0.1/servers has no end: page after page has no entry (10 questions)
    SOURCE/v0.1/servers has no end: a cursor is longer than 4096 bytes (1 questions)
    SOURCE/v0/servers answers 404 Not Found: no such page (2 questions)
    ");
}

#[tokio::test]
async fn a_source_that_makes_up_new_pages_for_ever_is_left_at_last() {
    let said = walk(|number, _| list(&[&number.to_string()], Some(&number.to_string()))).await;
    assert_eq!(said, "SOURCE/v0.1/servers has no end: there are more than 10000 pages (10000 questions)");
}

#[tokio::test]
async fn a_cursor_that_is_not_taken_any_more_is_told_from_a_source_that_is_down() {
    for (status, refused) in [(400, true), (404, true), (422, true), (500, false), (429, false)] {
        let answer: Answer = match status {
            400 => |_, _| StatusCode::BAD_REQUEST.into_response(),
            404 => |_, _| StatusCode::NOT_FOUND.into_response(),
            422 => |_, _| StatusCode::UNPROCESSABLE_ENTITY.into_response(),
            500 => |_, _| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            _ => |_, _| (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "17")]).into_response(),
        };
        let (source, _) = source(answer).await;
        let mut walk = Walk::new(source, Question { cursor: Some("old".into()), ..Question::default() });
        let error = walk.next().await.unwrap_err();
        assert_eq!((error.is_refusal(), walk.is_at_start()), (refused, true), "{status}");
        assert_eq!(error.retry_after(), (status == 429).then(|| Duration::from_secs(17)), "{status}");
    }
}
