//! The web console, in a real browser: Chromium without a window. Pictures of every page go to `target/console/`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{
    Browser, Cluster, Door, Options, Program, Visitor, document, free_port, in_repository, keys, publish_all,
    python_for, python_script, wait_until,
};
use serde_json::{Value, json};
use std::path::PathBuf;

const PHONE: (u32, u32) = (390, 844);
const DESKTOP: (u32, u32) = (1280, 800);
/// The narrowest screen that pages must fit into.
const NARROW: (u32, u32) = (360, 640);

const WEATHER: &str = "/console/servers/ai.acme/weather";

/// What the script of a page says of what cannot be read or used: text with too little contrast, fields without a name, and
/// a page that is wider than the screen.
const FAULTS: &str = r#"
const faults = [];
const numbers = (text) => (text.match(/[\d.]+/g) || []).map(Number);
const light = (rgb) => {
  const [r, g, b] = rgb.slice(0, 3).map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = numbers(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
for (const element of document.querySelectorAll("body *")) {
  const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!says || !element.checkVisibility() || element.closest("svg, option, dialog:not([open])")) continue;
  const [a, b] = [light(numbers(getComputedStyle(element).color)), light(ground(element))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${element.outerHTML.slice(0, 120)}`);
}
for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
  if (!field.labels.length && !field.ariaLabel) faults.push(`no label: ${field.outerHTML}`);
}
for (const table of document.querySelectorAll("table")) if (!table.caption) faults.push("a table without a caption");
const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
if (wide > 0) faults.push(`${wide} px wider than the screen`);
if (document.querySelectorAll("h1").length !== 1) faults.push("not one heading");
return faults;
"#;

fn picture(name: &str) -> PathBuf {
    in_repository("target/console").join(format!("{name}.png"))
}

/// A catalog of more than one page. One of its descriptions would run in a page that did not escape it.
async fn publish(cluster: &Cluster) {
    let mut weather = document("ai.acme/weather", "1.0.0");
    weather["title"] = json!("Weather");
    weather["description"] = json!("Forecasts for any place. <script>document.title = 'run'</script>");
    weather["websiteUrl"] = json!("https://acme.example/weather");
    weather["repository"] = json!({ "url": "https://github.com/acme/weather", "source": "github" });
    let mut newer = weather.clone();
    newer["version"] = json!("1.1.0");
    let mut documents = vec![weather, newer];
    documents.extend((1..=34).map(|number| {
        let mut tool = document(&format!("com.example/tool-{number:02}"), "0.1.0");
        tool["description"] =
            json!(format!("Tool number {number} of an example that is long enough to wrap on a phone"));
        tool
    }));
    let long = format!("com.a-rather-long-name-of-an-organisation.example/{}", "a-server".repeat(8));
    documents.push(document(&long, "2025.11.3"));
    publish_all(&cluster.publisher(0), &documents).await;
}

/// Shows a token on the page that asks for one.
async fn sign_in(browser: &Browser, base: &str, token: &str) {
    browser.open(&format!("{base}/console")).await;
    browser.write("#token", token).await;
    browser.click("main form [type=submit]").await;
    browser.see("h1", "Catalog").await;
}

/// Clients that go on asking, so that there is something to draw.
fn keep_connecting(client: Door) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let _ = client.connect("ai.acme/weather").await;
            tokio::time::sleep(std::time::Duration::from_millis(40)).await;
        }
    })
}

async fn assert_no_complaint(browser: &Browser) {
    let complaints = browser.complaints().await;
    assert_eq!(complaints, Vec::<String>::new());
}

#[tokio::test]
async fn a_moderator_suspends_a_server_and_watches_every_node_obey() {
    let Some(browser) = Browser::start().await else { return };
    let cluster = Cluster::start(3).await;
    publish(&cluster).await;
    cluster.transfer(0).await;
    cluster.wait_leases(&[0, 1, 2]).await;
    let busy = keep_connecting(cluster.client(1));
    // Another site than that of the addresses in numbers.
    let port = cluster.node(1).http().rsplit_once(':').unwrap().1.to_owned();
    let base = format!("http://localhost:{port}");
    browser.look(DESKTOP, false, false).await;

    // Who is not signed in is asked to, and a token that nobody knows does not do.
    browser.open(&format!("{base}{WEATHER}")).await;
    browser.write("#token", "hapi_moderator_no").await;
    browser.click("main form [type=submit]").await;
    browser.see("[role=alert]", "not valid here").await;
    browser.complaints().await;
    browser.write("#token", cluster.moderator_token()).await;
    browser.click("main form [type=submit]").await;
    // What a publisher writes is text.
    browser.see("h1", "Weather").await;
    browser.see(".lead", "<script>").await;
    assert_eq!(browser.script("return document.title").await, "Weather · HAPI Registry");
    assert_eq!(browser.script("return document.cookie").await, "", "no script reads the cookie");

    // From the catalog to the server.
    browser.click(".brand").await;
    browser.see("h1", "Catalog").await;
    browser.click(".pager [rel=next]").await;
    browser.see(".servers", "tool-30").await;
    browser.write("#q", "forecasts").await;
    browser.click(".search button").await;
    browser.see(".servers", "Weather").await;
    assert_eq!(browser.script("return document.querySelectorAll('.servers > li').length").await, 1);
    browser.click(".servers .name").await;

    // The act, and the seal of all three nodes.
    browser.click("[data-dialog=act-suspend]").await;
    browser.write("#suspend-reason", "leaks the places that are asked for").await;
    browser.write("#suspend-case", "INC-42").await;
    browser.picture(&picture("dialog-desktop-light"), false).await;
    browser.click("#act-suspend [type=submit]").await;
    browser.see("#act-suspend [data-told]", "no node issues against it any more").await;
    browser.see("#act-suspend .nodes", "confirmed").await;
    assert_eq!(browser.script("return document.querySelectorAll('.nodes li.confirmed').length").await, 3);
    browser.picture(&picture("sealed-desktop-light"), false).await;
    for place in 0..3 {
        assert_eq!(cluster.client(place).connect("ai.acme/weather").await.code(), "server_revoked");
    }
    browser.click("#act-suspend [data-done]").await;
    browser.see(".notice.bad", "leaks the places that are asked for").await;
    browser.see("table.records", "suspend").await;

    // The audit has it, and who comes from another site sees it at once.
    browser.click("nav a[href='/console/audit']").await;
    browser.see("table.records tbody tr:first-child", "server/ai.acme/weather").await;
    browser.open(&format!("http://127.0.0.1:{port}/console")).await;
    browser.see("h1", "Sign in").await;
    browser.script(&format!("location.href = '{base}/console/audit'")).await;
    browser.see("h1", "Audit").await;
    browser.see("table.records tbody tr:first-child", "leaks the places").await;
    assert_no_complaint(&browser).await;
    busy.abort();
}

#[tokio::test]
async fn a_node_that_stands_still_is_waited_for_until_its_leases_have_run_out() {
    let Some(browser) = Browser::start().await else { return };
    let mut cluster = Cluster::start(3).await;
    publish(&cluster).await;
    cluster.transfer(0).await;
    cluster.wait_leases(&[0, 1, 2]).await;
    browser.look(PHONE, true, true).await;
    // A node that does not lead tells as much as one that does.
    let base = cluster.node(1).http().to_owned();
    sign_in(&browser, &base, cluster.moderator_token()).await;
    browser.open(&format!("{base}{WEATHER}")).await;
    browser.click("[data-dialog=act-revoke]").await;
    browser.write("#revoke-reason", "gone bad").await;
    let standing = cluster.id(2).await;
    cluster.pause(2);
    browser.click("#act-revoke [type=submit]").await;
    browser.see("#act-revoke [data-told]", "2 of 3 nodes obey so far").await;
    assert_eq!(browser.script("return document.querySelectorAll('.nodes li.waiting').length").await, 1);
    browser.picture(&picture("sealing-phone-dark"), false).await;
    browser.see("#act-revoke [data-told]", "Sealed").await;
    browser.see(&format!("[data-node='{standing}'] .said"), "its leases ran out").await;
    browser.picture(&picture("lease-expired-phone-dark"), false).await;
    assert_no_complaint(&browser).await;
    cluster.resume(2);
    assert_eq!(cluster.client(2).connect("ai.acme/weather").await.code(), "server_revoked");
}

#[tokio::test]
async fn everything_is_reached_by_the_keyboard() {
    let Some(browser) = Browser::start().await else { return };
    let cluster = Cluster::start(1).await;
    publish(&cluster).await;
    browser.look(DESKTOP, false, false).await;
    let base = cluster.node(0).http().to_owned();
    browser.open(&format!("{base}/console")).await;
    browser.see("h1", "Sign in").await;
    browser.tab_to("#token").await;
    browser.press(cluster.moderator_token()).await;
    browser.press(keys::ENTER).await;
    browser.see("h1", "Catalog").await;
    browser.tab_to(".skip").await;
    browser.press(keys::ENTER).await;
    browser.tab_to("#q").await;
    browser.press("forecasts").await;
    browser.press(keys::ENTER).await;
    wait_until("one server is left", async || {
        let left = browser.script("return document.querySelectorAll('.servers > li').length").await;
        (left == 1).then_some(())
    })
    .await;
    browser.tab_to(".servers .name").await;
    browser.press(keys::ENTER).await;
    browser.see("h1", "Weather").await;
    let is_open = async || browser.script("return document.querySelector('#act-suspend').open").await == true;
    browser.tab_to("[data-dialog=act-suspend]").await;
    browser.press(keys::ENTER).await;
    wait_until("the dialog is open", async || is_open().await.then_some(())).await;
    browser.press(keys::ESCAPE).await;
    wait_until("the dialog is closed", async || (!is_open().await).then_some(())).await;
    browser.press(" ").await;
    wait_until("the dialog is open again", async || is_open().await.then_some(())).await;
    // The focus is in the reason already, and stays in the dialog.
    browser.press("by the keyboard").await;
    browser.tab_to("#act-suspend [type=submit]").await;
    browser.press(keys::ENTER).await;
    browser.see("#act-suspend [data-told]", "Sealed").await;
    wait_until("the focus is where one goes on", async || {
        let focused =
            browser.script("return document.activeElement.matches('#act-suspend [data-done]')").await;
        (focused == true).then_some(())
    })
    .await;
    browser.press(keys::ENTER).await;
    browser.see(".notice.bad", "by the keyboard").await;
    assert_no_complaint(&browser).await;
}

/// Every page that there is, by the name of its picture.
const PAGES: [(&str, &str, &str); 9] = [
    ("sign-in", "/console/sign-in", "Sign in"),
    ("catalog", "/console", "Catalog"),
    ("search", "/console?q=weather", "Catalog"),
    ("server", WEATHER, "Weather"),
    ("act", "/console/servers/ai.acme/weather?act=suspend", "Weather"),
    ("requests", "/console/requests", "Requests"),
    ("cluster", "/console/cluster", "Cluster"),
    ("audit", "/console/audit", "Audit"),
    ("error", "/console/nothing-here", "Not Found"),
];

#[tokio::test]
async fn every_page_can_be_read_on_a_phone_and_on_a_desk_by_day_and_by_night() {
    let Some(browser) = Browser::start().await else { return };
    let cluster = Cluster::start(3).await;
    publish(&cluster).await;
    let base = cluster.node(0).http().to_owned();
    let busy = keep_connecting(cluster.client(0));
    sign_in(&browser, &base, cluster.moderator_token()).await;
    // Something of everything: a suspended server, a request that waits, a verified one, and a minute of connects.
    cluster.operator(0).patch("/v1/settings", &json!({ "two_person": true })).await.ok();
    let moderator = cluster.moderator(0);
    moderator.moderate("verify", "server", "com.example/tool-01").await.ok();
    moderator.moderate("suspend", "server", "com.example/tool-02").await.ok();
    moderator.moderate("quarantine", "server", "com.example/tool-03").await.ok();
    moderator.moderate("reinstate", "server", "com.example/tool-02").await;
    wait_until("there is something to draw", async || {
        browser.open(&format!("{base}/console/cluster")).await;
        let points = browser.script("return document.querySelector('.good .line')?.points.length").await;
        (points.as_u64() >= Some(5)).then_some(())
    })
    .await;
    moderator.moderate("suspend", "version", "ai.acme/weather@1.1.0").await.ok();
    wait_until("there is something refused to draw", async || {
        browser.open(&format!("{base}/console/cluster")).await;
        let text = browser.text(".charts .bad figcaption").await.unwrap_or_default();
        (!text.contains("now 0/s")).then_some(())
    })
    .await;
    browser.complaints().await;
    let mut wrong = Vec::new();
    for (name, path, title) in PAGES {
        for (screen, is_phone) in [(PHONE, true), (NARROW, true), (DESKTOP, false)] {
            for is_dark in [false, true] {
                browser.look(screen, is_phone, is_dark).await;
                browser.open(&format!("{base}{path}")).await;
                browser.see("h1", title).await;
                let how = format!("{name}-{}-{}", screen.0, if is_dark { "dark" } else { "light" });
                let faults = browser.script(FAULTS).await;
                wrong.extend(faults.as_array().unwrap().iter().map(|fault| format!("{how}: {fault}")));
                if screen != NARROW {
                    browser.picture(&picture(&how), name != "act").await;
                }
                let complaints = browser.complaints().await;
                wrong.extend(complaints.into_iter().filter(|text| !text.contains("/console/nothing-here")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    busy.abort();
}

#[tokio::test]
async fn what_needs_a_second_person_waits_on_a_page_for_one() {
    let Some(browser) = Browser::start().await else { return };
    let cluster = Cluster::start(1).await;
    publish(&cluster).await;
    let base = cluster.node(0).http().to_owned();
    cluster.moderator(0).moderate("suspend", "server", "ai.acme/weather").await.ok();
    cluster.operator(0).patch("/v1/settings", &json!({ "two_person": true })).await.ok();
    sign_in(&browser, &base, cluster.moderator_token()).await;
    browser.open(&format!("{base}{WEATHER}")).await;
    browser.click("[data-dialog=act-reinstate]").await;
    browser.write("#reinstate-reason", "mended").await;
    browser.click("#act-reinstate [type=submit]").await;
    browser.see("#act-reinstate [data-told]", "another moderator has to confirm it").await;
    browser.open(&format!("{base}/console/requests")).await;
    browser.click("form[action$=confirm] button").await;
    browser.see("[role=alert]", "is your own").await;
    browser.complaints().await;
    browser.click(".account button").await;
    browser.see("h1", "Sign in").await;
    let other = cluster.make_token(json!({ "role": "moderator" })).await;
    sign_in(&browser, &base, &other).await;
    browser.click("nav a[href='/console/requests']").await;
    browser.click("form[action$=confirm] button").await;
    browser.see(".empty", "Nothing waits").await;
    cluster.client(0).connect("ai.acme/weather").await.ok();
    assert_no_complaint(&browser).await;
}

#[tokio::test]
async fn without_tls_a_console_elsewhere_can_be_used_too() {
    let Some(browser) = Browser::start().await else { return };
    let cluster = Cluster::start(1).await;
    publish(&cluster).await;
    // Browsers do not say of such a page which site a form comes from, but by its `Origin`.
    let port = cluster.node(0).http().rsplit_once(':').unwrap().1.to_owned();
    let base = format!("http://console.example:{port}");
    sign_in(&browser, &base, cluster.moderator_token()).await;
    browser.open(&format!("{base}{WEATHER}")).await;
    browser.click("[data-dialog=act-suspend]").await;
    browser.write("#suspend-reason", "from afar").await;
    browser.click("#act-suspend [type=submit]").await;
    browser.see("#act-suspend [data-told]", "Sealed").await;
    browser.click("#act-suspend [data-done]").await;
    browser.see(".notice.bad", "from afar").await;
}

/// An identity provider with an application for the console at `base`.
async fn provider(cluster: &Cluster, base: &str) -> Option<(Program, String)> {
    let python = python_for("identity_provider")?;
    let (port, key) = (free_port(), cluster.scratch().join("key.json"));
    let script = python_script("identity_provider/serve.py");
    let arguments = ["-B".into(), script.into_os_string(), port.to_string().into(), key.into_os_string()];
    let callback = format!("{base}/console/oidc/callback");
    let mut program = Program::serve(python, arguments, &[("CALLBACK", &callback)]);
    program.read_until(|line| line.starts_with("listening").then_some(())).await;
    Some((program, format!("http://127.0.0.1:{port}")))
}

fn settings(issuer: &str) -> Value {
    let rule = |group: &str, role: &str| json!({ "claim": "groups", "value": group, "role": role });
    json!({
        "issuer": issuer, "audience": "hapi-registry", "algorithms": ["RS256"],
        "rules": [rule("moderators", "moderator"), rule("auditors", "auditor")],
        "console_client_id": "hapi-console",
    })
}

/// A way back that did not begin in this browser, or brings a code that is worth nothing, signs nobody in.
async fn refuse_other_ways_back(cluster: &Cluster) {
    let mut visitor = Visitor::new(cluster.node(0).http());
    let begun = visitor.get("/console/oidc/corp?next=//evil.example").await;
    assert_eq!(begun.status, 303, "{}", begun.text);
    let asked = begun.header("location").to_owned();
    for part in ["response_type=code", "client_id=hapi-console", "code_challenge_method=S256", "nonce="] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    assert!(!asked.contains("evil") && !asked.contains("secret"), "{asked}");
    let cookie = begun.cookies()[0].to_owned();
    assert!(begun.header("set-cookie").contains("HttpOnly; SameSite=Lax"), "{begun:?}");
    let state = asked.split("&state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let back = |state: &str| format!("/console/oidc/callback?state={state}&code=made-up");
    assert_eq!(visitor.get(&back(&state)).await.status, 403, "without the cookie");
    visitor.cookie = cookie;
    let of_another = visitor.get(&back(&"0".repeat(32))).await;
    assert!(of_another.status == 403 && of_another.text.contains("did not begin in this browser"));
    let worthless = visitor.get(&back(&state)).await;
    assert!(worthless.text.contains("has not confirmed this sign-in"), "{}", worthless.text);
    assert_eq!((worthless.status, worthless.cookies().len()), (403, 0));
    // What is kept for the way is no session.
    visitor.cookie = visitor.cookie.replace("hapi-console-sign-in=", "hapi-console=");
    assert_eq!(visitor.get("/console/audit").await.status, 303);
}

#[tokio::test]
async fn whoever_a_provider_knows_signs_in_with_its_account() {
    let Some(browser) = Browser::start().await else { return };
    let cluster = Cluster::start_with(1, Options::default().set("HAPI_OUTBOUND_ALLOW_PRIVATE", "true")).await;
    publish(&cluster).await;
    let port = cluster.node(0).http().rsplit_once(':').unwrap().1.to_owned();
    let base = format!("http://localhost:{port}");
    let Some((_program, issuer)) = provider(&cluster, &base).await else { return };
    cluster.operator(0).put("/v1/identity-providers/corp", &settings(&issuer)).await.ok();
    refuse_other_ways_back(&cluster).await;
    browser.look(DESKTOP, false, false).await;
    browser.open(&format!("{base}/console/audit")).await;
    browser.see(".choices", "Continue with corp").await;
    browser.picture(&picture("sign-in-by-provider-desktop-light"), true).await;
    browser.click(".choices a").await;
    // At the provider.
    browser.write("[name=login]", "mona").await;
    browser.press(keys::ENTER).await;
    browser.write("[name=password]", "correct horse battery staple").await;
    browser.press(keys::ENTER).await;
    browser.click("[name=answer][value=accept]").await;
    // Back here, where the way began.
    browser.see("h1", "Audit").await;
    browser.see(".who", "oidc:corp/mona").await;
    browser.open(&format!("{base}{WEATHER}")).await;
    browser.click("[data-dialog=act-suspend]").await;
    browser.write("#suspend-reason", "by a person with an account").await;
    browser.click("#act-suspend [type=submit]").await;
    browser.see("#act-suspend [data-told]", "Sealed").await;
    let audit = cluster.operator(0).get("/v1/audit").await.ok().to_string();
    assert!(audit.contains("oidc:corp/mona"), "{audit}");
    // A provider that is removed takes its sessions with it.
    cluster.operator(0).delete("/v1/identity-providers/corp").await.ok();
    browser.open(&format!("{base}/console/audit")).await;
    browser.see("[role=alert]", "Your session has ended").await;
}
