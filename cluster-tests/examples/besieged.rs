//! What a polite client notices while others abuse a node: slow headers and bodies, ten thousand idle connections, bodies
//! of 100 MB, JSON 10,000 deep, requests that are taken back at once, guessed tokens. Ends with 1 if the node is not
//! ready for a moment, loses its lease, grows beyond its bound, or answers the polite client later than five times as late
//! as in quiet.
//!
//! Three nodes with TLS. Abusers are processes of their own with a lower priority, since they would be on other machines.
//! `HAPI_BINARY` names a release build, `HAPI_SECONDS` how long each trial takes (12).
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a program for measurements"
)]

use hapi_cluster_tests::{Cluster, Door, Metrics, Options, document, publish_all};
use rcgen::{CertificateParams, KeyPair, SanType};
use reqwest::Client;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::json;
use std::{
    fs,
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const SERVER: &str = "ai.acme/weather";
/// The polite client asks so often.
const RATE: Duration = Duration::from_millis(10);
/// A node may need so much more memory than in quiet, in MiB: sixteen thousand connections with what each may send.
const MOST_GROWTH: u64 = 512;
const IDLE: usize = 10_000;
const MOST_TIMES: u32 = 5;
/// A machine on which even quiet is later than this, or twice as late at the end as at the beginning, has other work, and
/// shows nothing.
const MOST_QUIET: Duration = Duration::from_millis(100);

/// What abusers do; the first word says who does it.
const TRIALS: &[(&str, &[&str])] = &[
    ("slow headers", &["slowhttptest", "-H", "-c", "2000", "-r", "1000", "-i", "1", "-u", "URL/livez"]),
    ("slow bodies", &["slowhttptest", "-B", "-c", "2000", "-r", "1000", "-i", "1", "-u", "URL/v1/connect"]),
    ("slow readers", &["slowhttptest", "-X", "-c", "1000", "-r", "500", "-k", "3", "-u", "URL/openapi.json"]),
    ("10,000 idle connections", &["idle"]),
    ("bodies of 100 MB", &["large"]),
    ("JSON 10,000 deep", &["deep"]),
    ("rapid reset", &["resets"]),
    ("guessed tokens", &["guesses"]),
];

fn seconds() -> u64 {
    std::env::var("HAPI_SECONDS").map_or(12, |text| text.parse().expect("a number"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => besiege().await,
        [what, address, token] => {
            let abuser = Abuser { address: address.into(), token: token.into() };
            abuser.go(what).await;
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(2),
    }
}

/// What was seen during one trial.
struct Seen {
    answers: Vec<Duration>,
    failures: usize,
    not_ready: u64,
    memory: u64,
}

impl Seen {
    fn quantile(&self, part: f64) -> Duration {
        let place = (self.answers.len() as f64 * part) as usize;
        self.answers.get(place.min(self.answers.len().saturating_sub(1))).copied().unwrap_or(Duration::MAX)
    }
}

async fn besiege() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster(&folder).await;
    let gone =
        cluster.operator(0).post("/v1/tokens", &json!({ "role": "client", "client": "gone" })).await.ok();
    let path = format!("/v1/tokens/{}", gone["id"].as_str().unwrap());
    cluster.operator(0).delete(&path).await.ok();
    let token = gone["token"].as_str().unwrap();
    watch(&cluster, 2).await;
    let quiet = watch(&cluster, seconds()).await;
    let lost = leases_lost(&cluster).await;
    println!(
        "{:<26} {:>8} {:>8} {:>8} {:>7} {:>9}  counted",
        "", "p50 ms", "p99 ms", "× quiet", "failed", "MiB"
    );
    let mut holds = tell("quiet", &quiet, &quiet, "");
    let mut all = Vec::new();
    for (name, words) in TRIALS {
        let before = counted(&cluster).await;
        let abuser = abuse(words, &cluster, token);
        let seen = watch(&cluster, seconds()).await;
        end(abuser);
        holds &= tell(name, &seen, &quiet, &difference(&before, &counted(&cluster).await));
        all.push(words);
    }
    let before = counted(&cluster).await;
    let abusers: Vec<_> = all.iter().map(|words| abuse(words, &cluster, token)).collect();
    let seen = watch(&cluster, seconds()).await;
    abusers.into_iter().for_each(end);
    // All of them together are more than two cores can serve as fast as in quiet: the node must hold, and that is shown.
    tell("all of it together", &seen, &quiet, &difference(&before, &counted(&cluster).await));
    holds &= seen.not_ready == 0 && seen.failures == 0;
    let again = watch(&cluster, seconds()).await;
    tell("quiet again", &again, &quiet, "");
    let is_quiet = again.quantile(0.99).max(quiet.quantile(0.99)) <= MOST_QUIET
        && again.quantile(0.99) <= quiet.quantile(0.99) * 2;
    let lost = leases_lost(&cluster).await - lost;
    println!("leases lost: {lost}; rate of the polite client: {} a second", 1_000 / RATE.as_millis());
    if !is_quiet {
        println!("this machine has other work: what is compared with such a quiet proves nothing");
    }
    if is_quiet && holds && lost == 0.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn cluster(folder: &tempfile::TempDir) -> Cluster {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
    let key = KeyPair::generate().unwrap();
    let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    let options = Options::default().set("HAPI_HTTP_TLS_CERT", &cert_file.display().to_string());
    let cluster =
        Cluster::start_with(3, options.set("HAPI_HTTP_TLS_KEY", &key_file.display().to_string())).await;
    publish_all(&cluster.publisher(0), &[document(SERVER, "1.0.0")]).await;
    cluster.wait_leases(&[0, 1, 2]).await;
    cluster
}

fn tell(name: &str, seen: &Seen, quiet: &Seen, counted: &str) -> bool {
    let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    let (p50, p99) = (seen.quantile(0.5), seen.quantile(0.99));
    let times = ms(p99) / ms(quiet.quantile(0.99));
    let growth = seen.memory.saturating_sub(quiet.memory);
    let holds = p99 <= quiet.quantile(0.99) * MOST_TIMES
        && seen.failures == 0
        && seen.not_ready == 0
        && growth <= MOST_GROWTH;
    let verdict = if holds { "" } else { "  <- does not hold" };
    println!(
        "{name:<26} {:>8.2} {:>8.2} {times:>8.1} {:>7} {:>9}  {counted}{verdict}",
        ms(p50),
        ms(p99),
        seen.failures,
        seen.memory
    );
    if seen.not_ready > 0 {
        println!("    not ready at {} looks", seen.not_ready);
    }
    holds
}

/// The polite client at work, and a look at the node five times a second.
async fn watch(cluster: &Cluster, seconds: u64) -> Seen {
    let (is_over, not_ready, memory) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let probe = {
        let (is_over, not_ready, memory) = (is_over.clone(), not_ready.clone(), memory.clone());
        let (door, status) = (cluster.client(0), format!("/proc/{}/status", pid(cluster)));
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let asked = door.request(reqwest::Method::GET, "/readyz").timeout(Duration::from_secs(2));
                let ready = door.try_send(asked).await;
                let is_ready =
                    ready.is_ok_and(|answer| answer.status == 200 && answer.body["lease"] == "valid");
                not_ready.fetch_add(u64::from(!is_ready), Ordering::Relaxed);
                memory.fetch_max(resident(&status), Ordering::Relaxed);
                sleep(Duration::from_millis(200)).await;
            }
        })
    };
    let client = Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
    let client = client.local_address(Some([127, 0, 0, 9].into())).timeout(Duration::from_secs(10));
    let client = client.build().unwrap();
    let mut ticks = interval(RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut asked, end) = (JoinSet::new(), Instant::now() + Duration::from_secs(seconds));
    while Instant::now() < end {
        ticks.tick().await;
        let url = format!("{}/v1/connect", cluster.node(0).http());
        let request =
            client.post(url).bearer_auth(cluster.client_token()).json(&json!({ "server_ref": SERVER }));
        asked.spawn(async move {
            let began = Instant::now();
            let answer = request.send().await.ok()?;
            let is_yes = answer.status() == 200 && answer.bytes().await.is_ok();
            is_yes.then(|| began.elapsed())
        });
    }
    let answers = asked.join_all().await;
    is_over.store(true, Ordering::Relaxed);
    probe.await.unwrap();
    let failures = answers.iter().filter(|answer| answer.is_none()).count();
    let mut answers: Vec<_> = answers.into_iter().flatten().collect();
    answers.sort_unstable();
    let (not_ready, memory) = (not_ready.load(Ordering::Relaxed), memory.load(Ordering::Relaxed));
    Seen { answers, failures, not_ready, memory }
}

fn pid(cluster: &Cluster) -> String {
    let status = cluster.node(0).proc_status();
    status.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim().to_owned()
}

/// The memory of a process, in MiB.
fn resident(status: &str) -> u64 {
    let status = fs::read_to_string(status).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0) / 1_024
}

async fn leases_lost(cluster: &Cluster) -> f64 {
    let mut lost = 0.0;
    for place in cluster.running() {
        lost += Metrics::of(&Door::new(cluster.node(place).http(), None))
            .await
            .sum("hapi_lease_drops_total", &[]);
    }
    lost
}

const LIMITS: [&str; 9] = [
    "connections",
    "connections_per_address",
    "handshake_timeout",
    "header_timeout",
    "body_timeout",
    "body_size",
    "json_depth",
    "http2",
    "failed_authentications",
];

async fn counted(cluster: &Cluster) -> Vec<f64> {
    let metrics = Metrics::of(&Door::new(cluster.node(0).http(), None)).await;
    LIMITS.iter().map(|limit| metrics.sum("hapi_http_limited_total", &[("limit", limit)])).collect()
}

fn difference(before: &[f64], after: &[f64]) -> String {
    let each = LIMITS.iter().zip(before.iter().zip(after)).filter(|(_, (before, after))| after > before);
    each.map(|(limit, (before, after))| format!("{limit} {}", after - before)).collect::<Vec<_>>().join(", ")
}

fn abuse(words: &[&str], cluster: &Cluster, token: &str) -> Child {
    let url = cluster.node(0).http();
    let mut command = Command::new("nice");
    command.args(["-n", "15"]).stdout(Stdio::null()).stderr(Stdio::null());
    if words[0] == "slowhttptest" {
        command.args(words.iter().map(|word| word.replace("URL", url)));
        command.args(["-l", "600", "-p", "3"]);
    } else {
        command.arg(std::env::current_exe().unwrap()).arg(words[0]);
        command.arg(url.trim_start_matches("https://")).arg(token);
    }
    command.spawn().unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

fn end(mut abuser: Child) {
    let _ = abuser.kill();
    let _ = abuser.wait();
}

/// One who abuses the node at `address`, until it is killed.
#[derive(Clone)]
struct Abuser {
    address: String,
    /// A token that was good once.
    token: String,
}

impl Abuser {
    async fn go(&self, what: &str) {
        let many = if what == "idle" { IDLE } else { 16 };
        let mut tasks = JoinSet::new();
        for number in 0..many {
            let (abuser, what) = (self.clone(), what.to_owned());
            tasks.spawn(async move {
                loop {
                    // Whatever came of it, it begins anew.
                    let _ = abuser.once(&what, number).await;
                    tokio::task::yield_now().await;
                }
            });
        }
        tasks.join_all().await;
    }

    async fn once(&self, what: &str, number: usize) -> std::io::Result<()> {
        match what {
            "idle" => {
                // Five addresses, so that none of them has too many.
                let mut stream = self.connect(20 + u8::try_from(number % 5).unwrap()).await?;
                stream.read(&mut [0; 8]).await.map(drop)
            }
            "large" => self.large(number.is_multiple_of(2)).await,
            "deep" => self.post("/v1/connect", &format!("{{\"server_ref\":{}", "[".repeat(10_000))).await,
            "guesses" => self.post("/v1/connect", "{}").await,
            "resets" => self.resets().await,
            other => panic!("nobody knows what `{other}` is"),
        }
    }

    async fn connect(&self, last: u8) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, last], 0).into())?;
        socket.connect(self.address.parse().unwrap()).await
    }

    async fn encrypted(&self, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        let name = "127.0.0.1".try_into().unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.connect(19).await?).await
    }

    /// The same request over and over on one connection.
    async fn post(&self, path: &str, body: &str) -> std::io::Result<()> {
        let mut stream = self.encrypted("http/1.1").await?;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        let mut answer = vec![0; 16_384];
        loop {
            stream.write_all(request.as_bytes()).await?;
            if stream.read(&mut answer).await? == 0 {
                return Ok(());
            }
        }
    }

    /// 100 MB, announced or not.
    async fn large(&self, is_announced: bool) -> std::io::Result<()> {
        let mut stream = self.encrypted("http/1.1").await?;
        let length = if is_announced { "Content-Length: 104857600" } else { "Transfer-Encoding: chunked" };
        let head = format!("POST /v0/validate HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let piece = vec![b' '; 65_536];
        for _ in 0..1_600 {
            if !is_announced {
                stream.write_all(b"10000\r\n").await?;
            }
            stream.write_all(&piece).await?;
            if !is_announced {
                stream.write_all(b"\r\n").await?;
            }
        }
        Ok(())
    }

    /// CVE-2023-44487.
    async fn resets(&self) -> std::io::Result<()> {
        let mut stream = self.encrypted("h2").await?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
        let mut frames = Vec::new();
        for number in (1_u32..200).step_by(2) {
            let block = [&[0x82, 0x87, 0x44, 6][..], b"/livez", &[0x41, 1], b"a"].concat();
            frames.extend([&[0, 0, 13, 1, 5][..], &number.to_be_bytes(), &block].concat());
            frames.extend([&[0, 0, 4, 3, 0][..], &number.to_be_bytes(), &8_u32.to_be_bytes()].concat());
        }
        stream.write_all(&frames).await?;
        let mut answer = [0; 4_096];
        while timeout(Duration::from_secs(1), stream.read(&mut answer)).await?? > 0 {}
        Ok(())
    }
}

/// Believes everybody: who abuses does not care.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
