//! Each trouble that operators get into has one message, which says what is wrong, where, and what to do; and when the
//! trouble is over, nothing is lost.
//!
//! The troubles are real: file systems that are full or read-only, other users, other secrets, folders of others. What
//! needs rights that this process lacks is skipped, and says so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test stops at the first surprise"
)]

use hapi_cluster_tests::{
    Cluster, Launch, Node, Options, PATIENCE, Volume, command, command_under, document, publish_all,
    wait_until,
};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tempfile::TempDir;
use tokio_rustls::{TlsAcceptor, rustls};

const SERVER: &str = "ai.acme/a";

/// Who owns nothing of ours.
const OTHER_USER: u32 = 65_532;

/// What a node said of a trouble.
struct Told {
    /// How it ended, if it did.
    exit: Option<i32>,
    /// Its warnings and errors, with hints, and what was no line of a log at all.
    said: Vec<String>,
}

/// The warnings and errors of a log; nodes of these tests write JSON. What Raft itself says of heartbeats that came late
/// tells of a busy machine, which is none of these troubles.
fn said(log: &str) -> Vec<String> {
    log.lines().filter_map(warning).collect()
}

fn warning(line: &str) -> Option<String> {
    let Ok(event) = serde_json::from_str::<Value>(line) else { return Some(line.to_owned()) };
    let level = event["level"].as_str().unwrap();
    let message = event["message"].as_str().unwrap_or_default();
    let hint = event["hint"].as_str().map(|hint| format!(" Hint: {hint}")).unwrap_or_default();
    let is_ours = !event["target"].as_str().unwrap_or_default().starts_with("openraft");
    (is_ours && matches!(level, "WARN" | "ERROR")).then(|| format!("{message}{hint}"))
}

/// Names for what differs from run to run.
fn scrubbed(text: &str, names: &[(&str, &str)]) -> String {
    let named = names.iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name));
    let words = named.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    words.map(|word| id(word).unwrap_or_else(|| word.to_owned())).collect()
}

/// `NODE` or `CLUSTER` for a word that is the id of one.
fn id(word: &str) -> Option<String> {
    let digits = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    let name = match digits.len() {
        16 => "NODE",
        32 => "CLUSTER",
        _ => return None,
    };
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| word.replace(digits, name))
}

/// One node alone, with a published server.
async fn home(options: Options) -> Cluster {
    let cluster = Cluster::start_with(1, options.set("HAPI_LEASE_CLOCK", "trusted")).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster
}

/// The trouble is over: the node starts on what it has, and has what it had.
async fn assert_whole(cluster: &mut Cluster) {
    cluster.restart(0);
    cluster.wait_ready().await;
    cluster.client(0).connect(SERVER).await.ok();
}

/// Starts the node of `cluster` as what `under` runs, with `settings` over its own, and waits until it has ended.
fn start(cluster: &Cluster, under: &[String], settings: &[(&str, &str)]) -> Told {
    let patience = ["timeout".to_owned(), "--signal=KILL".into(), PATIENCE.as_secs().to_string()];
    let mut command = command_under(&[&patience, under].concat());
    command
        .arg("serve")
        .env("HAPI_DATA_DIR", cluster.data(0))
        .env("HAPI_CLUSTER_SECRET_FILE", cluster.secret())
        .env("HAPI_HTTP_LISTEN", "127.0.0.1:0")
        .env("HAPI_PEER_LISTEN", "127.0.0.1:0")
        .env("HAPI_LOG_FORMAT", "json")
        .envs(cluster.settings().iter().map(|(name, value)| (name, value)))
        .envs(settings.iter().copied());
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    Told { exit: output.status.code(), said: said(&log) }
}

/// A volume for one node's data, and the options that put them there. `None` where this process may not mount.
struct Disk {
    volume: Volume,
    _folder: TempDir,
}

impl Disk {
    fn new(mib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        match Volume::mount(&folder.path().join("data"), mib) {
            Ok(volume) => Some(Self { volume, _folder: folder }),
            Err(why) => {
                assert!(std::env::var_os("HAPI_REQUIRE_VOLUMES").is_none(), "{why}");
                eprintln!("SKIPPED: no file system can be filled or made read-only on this machine: {why}");
                None
            }
        }
    }

    fn path(&self) -> &str {
        self.volume.path().to_str().unwrap()
    }

    fn options(&self) -> Options {
        let options = Options { under: self.volume.under(), ..Options::default() };
        options.set("HAPI_DATA_DIR", self.path()).set("HAPI_DISK_RESERVE_BYTES", &(16 << 20).to_string())
    }
}

async fn a_disk_that_is_full_at_the_start() -> Option<Told> {
    let disk = Disk::new(48)?;
    let mut cluster = home(disk.options()).await;
    cluster.stop(0);
    disk.volume.leave(1 << 20);
    let told = start(&cluster, &disk.volume.under(), &[]);
    disk.volume.clear();
    assert_whole(&mut cluster).await;
    Some(named(told, &[(disk.path(), "DIR")]))
}

/// Writes are refused before the disk is full; what needs none goes on, to the last byte and without it; and writes are
/// taken again by themselves.
async fn a_disk_that_fills_up_under_a_running_node() -> Option<Told> {
    let disk = Disk::new(64)?;
    let mut cluster = home(disk.options()).await;
    disk.volume.leave(10 << 20);
    let tried = AtomicUsize::new(0);
    let refused = wait_until("writes are refused", async || {
        // The first ones may come before the look at the disk.
        let name = format!("ai.acme/b{}", tried.fetch_add(1, Ordering::Relaxed));
        let answer = cluster.publisher(0).post("/v0/publish", &document(&name, "1.0.0")).await;
        (answer.status >= 300).then_some(answer)
    })
    .await;
    assert_eq!((refused.status, refused.code()), (507, "disk_full"), "{}", refused.text);
    assert_eq!(cluster.node(0).door().get("/readyz").await.status, 200);
    cluster.client(0).connect(SERVER).await.ok();
    cluster.moderator(0).moderate("suspend", "server", SERVER).await.ok();
    cluster.moderator(0).moderate("reinstate", "server", SERVER).await;
    serve_without_any_room(&disk, &cluster).await;
    disk.volume.clear();
    wait_until("writes are taken again", async || {
        let answer = cluster.publisher(0).post("/v0/publish", &document("ai.acme/c", "1.0.0")).await;
        (answer.status < 300).then_some(())
    })
    .await;
    cluster.moderator(0).moderate("reinstate", "server", SERVER).await;
    let told = Told { exit: None, said: said(&cluster.node(0).log()) };
    cluster.kill(0);
    assert_whole(&mut cluster).await;
    cluster.client(0).connect("ai.acme/c").await.ok();
    let free = told.said[0].split(": ").nth(1).unwrap().split(" are left").next().unwrap().to_owned();
    Some(named(told, &[(disk.path(), "DIR"), (&free, "9 MiB")]))
}

async fn serve_without_any_room(disk: &Disk, cluster: &Cluster) {
    disk.volume.leave(3 << 20);
    wait_until("what denies is refused too", async || {
        let answer = cluster.moderator(0).moderate("suspend", "server", SERVER).await;
        (answer.code() == "disk_full").then_some(())
    })
    .await;
    wait_until_idle(cluster).await;
    disk.volume.leave(0);
    let listed = cluster.node(0).door().get("/v0.1/servers").await;
    assert!(listed.status < 500, "{}", listed.text);
    let refused = cluster.publisher(0).post("/v0/publish", &document("ai.acme/d", "1.0.0")).await;
    assert_eq!(refused.code(), "disk_full", "{}", refused.text);
}

/// Waits until the disk was left alone for twice as long as the store lets anything linger.
async fn wait_until_idle(cluster: &Cluster) {
    let (syncs, looks) = (AtomicUsize::new(0), AtomicUsize::new(0));
    wait_until("nothing is written any more", async || {
        let metrics = cluster.node(0).door().get("/metrics").await.text;
        let count = metrics.lines().find_map(|line| line.strip_prefix("hapi_storage_sync_seconds_count "));
        let count = count.unwrap().parse().unwrap();
        if syncs.swap(count, Ordering::Relaxed) != count {
            looks.store(0, Ordering::Relaxed);
        }
        (looks.fetch_add(1, Ordering::Relaxed) >= 5).then_some(())
    })
    .await;
}

/// Somebody else takes all the room at once, and the node has kept no reserve.
async fn a_disk_that_is_full_at_once() -> Option<Told> {
    let disk = Disk::new(48)?;
    let mut cluster = home(disk.options().set("HAPI_DISK_RESERVE_BYTES", "0")).await;
    disk.volume.leave(0);
    let (publisher, tried) = (cluster.publisher(0), AtomicUsize::new(0));
    wait_until("the node answers no more", async || {
        // What was allocated before takes some.
        let name = format!("ai.acme/b{}", tried.fetch_add(1, Ordering::Relaxed));
        let request = publisher.request(reqwest::Method::POST, "/v0/publish").json(&document(&name, "1.0.0"));
        publisher.try_send(request).await.is_err().then_some(())
    })
    .await;
    let (status, log) = cluster.wait(0);
    disk.volume.clear();
    assert_whole(&mut cluster).await;
    Some(named(Told { exit: status.code(), said: said(&log) }, &[(disk.path(), "DIR")]))
}

async fn a_file_system_that_is_read_only() -> Option<Told> {
    let disk = Disk::new(48)?;
    let mut cluster = home(disk.options()).await;
    cluster.stop(0);
    disk.volume.set_read_only(true);
    let told = start(&cluster, &disk.volume.under(), &[]);
    disk.volume.set_read_only(false);
    assert_whole(&mut cluster).await;
    Some(named(told, &[(disk.path(), "DIR")]))
}

/// The words that run a program as somebody else.
fn as_other_user() -> Option<Vec<String>> {
    let user = OTHER_USER.to_string();
    let under =
        ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--"].map(str::to_owned).to_vec();
    let can =
        Command::new(&under[0]).args(&under[1..]).arg("true").status().is_ok_and(|status| status.success());
    if !can {
        eprintln!("SKIPPED: no program can be run as another user here");
    }
    can.then_some(under)
}

fn chown(path: &Path, user: u32) {
    let status = Command::new("chown").args(["--recursive", &user.to_string()]).arg(path).status().unwrap();
    assert!(status.success(), "{status}");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A cluster whose scratch folder and secret others may look into, as they may into `/var/lib` and `/run/secrets`.
async fn open_home() -> Cluster {
    let mut cluster = home(Options::default()).await;
    cluster.stop(0);
    set_mode(cluster.scratch(), 0o755);
    set_mode(&cluster.secret(), 0o444);
    cluster
}

async fn a_data_folder_of_another_user() -> Option<Told> {
    let under = as_other_user()?;
    let mut cluster = open_home().await;
    let told = start(&cluster, &under, &[]);
    chown(&cluster.data(0), OTHER_USER);
    cluster.run_under(&under);
    assert_whole(&mut cluster).await;
    Some(named(told, &[(cluster.data(0).to_str().unwrap(), "DIR")]))
}

async fn one_file_of_another_user() -> Option<Told> {
    let under = as_other_user()?;
    let mut cluster = open_home().await;
    chown(&cluster.data(0), OTHER_USER);
    let file = cluster.data(0).join("db").join("db");
    chown(&file, 0);
    set_mode(&file, 0o600);
    let told = start(&cluster, &under, &[]);
    chown(&file, OTHER_USER);
    cluster.run_under(&under);
    assert_whole(&mut cluster).await;
    Some(named(told, &[(cluster.data(0).to_str().unwrap(), "DIR")]))
}

async fn a_secret_that_the_node_may_not_read() -> Option<Told> {
    let under = as_other_user()?;
    let cluster = open_home().await;
    set_mode(&cluster.secret(), 0o400);
    let told = start(&cluster, &under, &[]);
    Some(named(told, &[(cluster.secret().to_str().unwrap(), "SECRET")]))
}

/// A running node's warnings, once there are some.
async fn warnings(node: &Node) -> Told {
    let said =
        wait_until("the node warns", async || Some(said(&node.log())).filter(|said| !said.is_empty())).await;
    Told { exit: None, said }
}

fn launch<'a>(cluster: &'a Cluster, folder: &'a Path, secret: &'a Path, join: &'a [String]) -> Launch<'a> {
    let (binary, settings) = (hapi_cluster_tests::Binary::Plain, cluster.settings());
    Launch { binary, folder, secret, join, settings, site: None, under: &[] }
}

/// A member of three comes back with another secret than the others have.
async fn another_secret() -> Option<Told> {
    let mut cluster = Cluster::start_with(3, Options::default().set("HAPI_LEASE_CLOCK", "trusted")).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.stop(2);
    let other = cluster.scratch().join("other-secret");
    fs::write(&other, "f3b1c09e7d5a4826b0c7e91d3f5a8264c1e7d90b3a5f8e26").unwrap();
    let join = [0, 1].map(|place| cluster.node(place).peer().to_owned());
    let folder = cluster.data(2);
    let node = Node::try_launch(launch(&cluster, &folder, &other, &join)).unwrap();
    let told = warnings(&node).await;
    drop(node);
    cluster.restart(2);
    cluster.wait_ready().await;
    cluster.client(2).connect(SERVER).await.ok();
    Some(told)
}

async fn two_nodes_with_one_folder() -> Option<Told> {
    let cluster = home(Options::default()).await;
    let told = start(&cluster, &[], &[]);
    cluster.client(0).connect(SERVER).await.ok();
    Some(named(told, &[(cluster.data(0).to_str().unwrap(), "DIR")]))
}

/// A folder was copied to the wrong machine: it is of one cluster, and all that the node is told is of another.
async fn the_data_of_another_cluster() -> Option<Told> {
    let here = home(Options::default()).await;
    let mut there = home(Options::default()).await;
    there.stop(0);
    let (folder, join) = (there.data(0), [here.node(0).peer().to_owned()]);
    let node = Node::try_launch(launch(&there, &folder, &here.secret(), &join)).unwrap();
    let told = warnings(&node).await;
    drop(node);
    assert_whole(&mut there).await;
    here.client(0).connect(SERVER).await.ok();
    Some(named(told, &[(&cluster_id(&here).await, "HERE"), (&cluster_id(&there).await, "THERE")]))
}

async fn cluster_id(cluster: &Cluster) -> String {
    cluster.status(0).await.unwrap().body["cluster_id"].as_str().unwrap().to_owned()
}

/// The cluster gave up a node that was off, and it comes back.
async fn a_node_that_was_removed_while_stopped() -> Option<Told> {
    let mut cluster = Cluster::start_with(3, Options::default().set("HAPI_LEASE_CLOCK", "trusted")).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    let old = cluster.id(2).await;
    cluster.stop(2);
    let leader = cluster.leader_among(&[0, 1]).await;
    let removed = cluster.operator(leader).delete(&format!("/v1/cluster/members/{old}")).await;
    assert_eq!(removed.status, 200, "{}", removed.text);
    cluster.restart(2);
    wait_until("it has come back as another node", async || {
        let door = cluster.node(2).door();
        let ready = door.try_send(door.request(reqwest::Method::GET, "/readyz")).await.ok()?;
        let status = cluster.status(2).await?;
        let id = status.body["node"]["id"].as_str()?.to_owned();
        (ready.status == 200 && id != old).then_some(())
    })
    .await;
    assert!(cluster.data(2).join(format!("removed-{old}")).join("db").is_dir(), "its data was not kept");
    cluster.client(2).connect(SERVER).await.ok();
    cluster.assert_same_state().await;
    Some(Told { exit: None, said: said(&cluster.node(2).log()) })
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--archive").arg(from).arg(to).status().unwrap();
    assert!(status.success(), "{status}");
}

/// The database of yesterday beside the watermark of today.
async fn a_log_that_ends_before_the_watermark() -> Option<Told> {
    let mut cluster = home(Options::default()).await;
    let (database, aside): (_, [PathBuf; 2]) =
        (cluster.data(0).join("db"), ["old", "new"].map(|name| cluster.scratch().join(name)));
    // Under the same leadership, so that the log alone differs.
    cluster.pause(0);
    copy(&database, &aside[0]);
    cluster.resume(0);
    publish_all(&cluster.publisher(0), &[document("ai.acme/b", "1.0.0")]).await;
    cluster.stop(0);
    fs::rename(&database, &aside[1]).unwrap();
    fs::rename(&aside[0], &database).unwrap();
    let told = start(&cluster, &[], &[]);
    fs::remove_dir_all(&database).unwrap();
    fs::rename(&aside[1], &database).unwrap();
    assert_whole(&mut cluster).await;
    cluster.client(0).connect("ai.acme/b").await.ok();
    let mut told = named(told, &[(cluster.data(0).to_str().unwrap(), "DIR")]);
    told.said.iter_mut().for_each(|line| *line = without_numbers(line));
    Some(told)
}

fn without_numbers(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let digits = word.trim_end_matches(['.', ',']);
        if digits.parse::<u64>().is_ok() { word.replace(digits, "N") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

async fn a_member_with_another_issuer() -> Option<Told> {
    let mut cluster = home(Options::default()).await;
    cluster.stop(0);
    let told = start(&cluster, &[], &[("HAPI_ISSUER", "https://mistyped.example")]);
    assert_whole(&mut cluster).await;
    Some(told)
}

async fn a_new_node_with_another_issuer() -> Option<Told> {
    let cluster = home(Options::default()).await;
    let folder = cluster.scratch().join("stranger");
    let settings = [
        ("HAPI_ISSUER", "https://mistyped.example"),
        ("HAPI_DATA_DIR", folder.to_str().unwrap()),
        ("HAPI_CLUSTER_JOIN", cluster.node(0).peer()),
    ];
    let told = start(&cluster, &[], &settings);
    cluster.client(0).connect(SERVER).await.ok();
    Some(told)
}

/// A follower's clock, and then a leader's, is set a year ahead while it runs.
async fn a_clock_that_jumps_by_a_year() -> Option<Told> {
    let options = Options::default().faulty_at(2, "wall.jump_ms=31536000000@12000");
    let cluster = Cluster::start_with(3, options.set("HAPI_LEASE_CLOCK", "trusted")).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.transfer(2).await;
    let told = wait_until("the node says that its clock has jumped", async || {
        let said = said(&cluster.node(2).log());
        said.iter().any(|line| line.contains("has jumped")).then_some(said)
    })
    .await;
    let heir = cluster.leader_among(&[0, 1]).await;
    publish_all(&cluster.publisher(heir), &[document("ai.acme/b", "1.0.0")]).await;
    for place in 0..3 {
        cluster.client(place).connect(SERVER).await.ok();
    }
    let audit = cluster.operator(heir).get("/v1/audit?limit=100").await.ok();
    let year = |at: &str| at[..4].parse::<u64>().unwrap();
    let today = year(audit["records"][0]["at"].as_str().unwrap());
    let records = audit["records"].as_array().unwrap();
    assert!(records.iter().all(|record| year(record["at"].as_str().unwrap()) == today), "{audit}");
    let said = told.into_iter().filter(|line| !line.contains("faults are injected")).collect();
    Some(Told { exit: None, said })
}

/// What stands in front of a node has a certificate of the last century.
async fn a_certificate_that_has_expired() -> Option<Told> {
    let address = serve_expired().await;
    let output = tokio::task::spawn_blocking(move || {
        command().args(["servers", "list", "--node", &format!("https://{address}")]).output().unwrap()
    });
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
    Some(named(Told { exit: output.status.code(), said }, &[(&address.to_string(), "ADDRESS")]))
}

async fn serve_expired() -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.not_before = date_time_ymd(1998, 1, 1);
    params.not_after = date_time_ymd(1999, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config =
        config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private.into());
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    address
}

fn named(told: Told, names: &[(&str, &str)]) -> Told {
    Told { said: told.said.iter().map(|line| scrubbed(line, names)).collect(), ..told }
}

/// What a row of the table expects: how the node ends, if it does, and all that it says.
struct Row {
    trouble: &'static str,
    /// What was told; `None` if the row was skipped, or the reason why it broke down.
    told: Result<Option<Told>, String>,
    exit: Option<i32>,
    message: &'static str,
}

impl Row {
    /// Makes the trouble. A row that breaks down does not keep the others from being looked at.
    async fn of(
        trouble: &'static str,
        made: impl Future<Output = Option<Told>> + Send + 'static,
        exit: Option<i32>,
        message: &'static str,
    ) -> Self {
        let told = tokio::spawn(made).await.map_err(|error| error.to_string());
        Self { trouble, told, exit, message }
    }
}

impl Row {
    fn difference(&self) -> Option<String> {
        let told = match &self.told {
            Ok(told) => told.as_ref()?,
            Err(error) => return Some(format!("{}: {error}", self.trouble)),
        };
        let said = told.said.iter().map(|line| scrubbed(line, &[])).collect::<Vec<_>>();
        let expected = self.message.replace("\n", " ");
        (told.exit != self.exit || said != [expected.as_str()]).then(|| {
            let (exit, wanted) = (told.exit, self.exit);
            format!(
                "{}:\n  exit {exit:?}, wanted {wanted:?}\n  said {said:#?}\n  wanted {expected}",
                self.trouble
            )
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_trouble_has_one_message_that_says_what_to_do() {
    let rows = [
        Row::of(
            "disk full at the start",
            a_disk_that_is_full_at_the_start(),
            Some(1),
            "data folder DIR has 1048576 bytes left, a start needs 4194304. Its file system is full: free some space \
             there or enlarge it, then start this node again; what it holds is intact",
        )
        .await,
        Row::of(
            "disk full under a running node",
            a_disk_that_fills_up_under_a_running_node(),
            None,
            "the disk of node NODE is nearly full: 9 MiB are left for DIR, and it takes writes again from 20 MiB on. \
             Free some space there or enlarge it; what denies is taken as long as there is any room",
        )
        .await,
        Row::of(
            "disk full at once, without a reserve",
            a_disk_that_is_full_at_once(),
            Some(1),
            "the replica stopped: data folder DIR was not written: no storage space. Its file system is full: free some \
             space there or enlarge it, then start this node again; what it holds is intact",
        )
        .await,
        Row::of(
            "read-only file system",
            a_file_system_that_is_read_only(),
            Some(1),
            "data folder DIR cannot be used: Read-only file system (os error 30). Its file system is read-only: mount \
             it writable, then start this node again; what it holds is intact",
        )
        .await,
        Row::of(
            "data folder of another user",
            a_data_folder_of_another_user(),
            Some(1),
            "data folder DIR cannot be used: Permission denied (os error 13). This node runs as user 65532, who must \
             own the folder and everything in it: `chown --recursive 65532 DIR`",
        )
        .await,
        Row::of(
            "one file of another user",
            one_file_of_another_user(),
            Some(1),
            "data folder DIR cannot be used: Permission denied (os error 13). This node runs as user 65532, who must \
             own the folder and everything in it: `chown --recursive 65532 DIR`",
        )
        .await,
        Row::of(
            "secret that may not be read",
            a_secret_that_the_node_may_not_read(),
            Some(2),
            "the cluster secret SECRET cannot be read: Permission denied (os error 13) Hint: let user 65532 read it, \
             and nobody else",
        )
        .await,
        Row::of(
            "wrong secret",
            another_secret(),
            None,
            "nodes that `cluster.join` or the membership names have another cluster secret, or are none of ours: give \
             this node the secret of its cluster (`cluster.secret_file`), or take the addresses out of `cluster.join`",
        )
        .await,
        Row::of(
            "expired certificate",
            a_certificate_that_has_expired(),
            Some(3),
            "error: no node can be reached: cannot connect to https://ADDRESS/: its TLS certificate has expired: renew it \
             where TLS ends, or set this machine's clock right",
        )
        .await,
        Row::of(
            "clock jumped by a year",
            a_clock_that_jumps_by_a_year(),
            None,
            "the wall clock of node NODE has jumped 365 days ahead since it was started: it writes nothing and takes \
             no serving lease. Set the clock right, or restart the node if the new time is right",
        )
        .await,
        Row::of(
            "two nodes with one data folder",
            two_nodes_with_one_folder(),
            Some(1),
            "data folder DIR is in use by another process. Give each node a folder of its own, or let replicas of one \
             host share a volume with `data_slots`",
        )
        .await,
        Row::of(
            "another cluster's data",
            the_data_of_another_cluster(),
            None,
            "this data folder belongs to cluster THERE, and the node there to cluster HERE: start with the folder that \
             is meant for that cluster, or with an empty one to join it as a new node; or name nodes of this one in \
             `cluster.join`",
        )
        .await,
        Row::of(
            "removed while stopped",
            a_node_that_was_removed_while_stopped(),
            None,
            "the cluster has removed this node: its data is kept there, and it joins as a new node. Delete what is kept \
             once nobody needs it",
        )
        .await,
        Row::of(
            "log truncated behind the watermark",
            a_log_that_ends_before_the_watermark(),
            Some(1),
            "data folder DIR is damaged: the log has lost its tail: index N was acknowledged, the last one found is N. \
             Set the folder aside and start with an empty one, as a new node: the cluster sends it the state. Do not \
             copy parts of the old folder back",
        )
        .await,
        Row::of(
            "another issuer, at a member",
            a_member_with_another_issuer(),
            Some(1),
            "issuer is https://mistyped.example here, but the cluster that this node belongs to has \
             https://registry.example: set `issuer` to that; what all nodes agreed on when the cluster was formed does \
             not change",
        )
        .await,
        Row::of(
            "another issuer, at a new node",
            a_new_node_with_another_issuer(),
            Some(1),
            "the replica stopped: the cluster refuses this node: its issuer is https://mistyped.example, the cluster \
             has https://registry.example: set `issuer` to that, the same on every node",
        )
        .await,
    ];
    let differences: Vec<_> = rows.iter().filter_map(Row::difference).collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

/// Starts the node at `place` anew, with this reserve on its disk.
fn restart_with_reserve(cluster: &mut Cluster, place: usize, bytes: u64) {
    cluster.stop(place);
    cluster.set_options(Options::default().set("HAPI_DISK_RESERVE_BYTES", &bytes.to_string()));
    cluster.restart(place);
}

#[tokio::test]
async fn a_follower_without_room_is_left_behind_and_catches_up() {
    let mut cluster = Cluster::start(3).await;
    cluster.transfer(0).await;
    restart_with_reserve(&mut cluster, 2, u64::MAX);
    wait_until("the node without room knows its leader", async || {
        cluster.status(2).await?.body["leader"].as_str().map(|_| ())
    })
    .await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    let behind =
        cluster.client(2).get(&format!("/v0.1/servers/{}/versions", SERVER.replace('/', "%2F"))).await;
    assert_ne!(behind.status, 200, "it has taken an entry: {}", behind.text);
    // Once the lease from before is over, the leader decides what it cannot.
    wait_until("the leader decides for it", async || {
        (cluster.client(2).connect(SERVER).await.status == 200).then_some(())
    })
    .await;
    restart_with_reserve(&mut cluster, 2, 0);
    cluster.wait_ready().await;
    cluster.assert_same_state().await;
}

#[tokio::test]
async fn a_leader_that_is_short_of_room_lets_another_node_lead() {
    let mut cluster = Cluster::start(3).await;
    cluster.transfer(0).await;
    let free = cluster.status(1).await.unwrap().body["node"]["disk"]["free_bytes"].as_u64().unwrap();
    // Half of the reserve is left: too little for a publication, and far from nothing.
    restart_with_reserve(&mut cluster, 1, free * 2);
    cluster.wait_ready().await;
    cluster.transfer(1).await;
    let heir = cluster.leader_among(&[0, 2]).await;
    publish_all(&cluster.publisher(1), &[document(SERVER, "1.0.0")]).await;
    cluster.client(heir).connect(SERVER).await.ok();
}
