#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::await_holding_lock, reason = "the writer is only tried for, so nobody blocks")]

use super::*;
use hapi_descriptor::Jti;
use hapi_registry_state::{ClientId, Kid, NodeId, ServerName, TenantId, Timestamp, Version};
use serde_json::Value;
use std::{
    future::Future,
    path::Path,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// What a line borrows from.
struct Decided {
    jti: Jti,
    client: ClientId,
    tenant: TenantId,
    server: ServerName,
    version: Version,
    kid: Kid,
}

impl Decided {
    fn new() -> Self {
        Self {
            jti: Jti::new([7; 16]),
            client: "billing".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            server: "ai.acme/weather".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            kid: Kid::from("Gb1vYpzN7Qk"),
        }
    }

    fn line(&self, client: u64, number: u64) -> Line<'_> {
        Line {
            at: Timestamp(1_785_000_000_250_000),
            issued_at_boottime_ns: number,
            node: NodeId(0xa1),
            decision: Verdict::Issued,
            code: "ok",
            jti: Some(&self.jti),
            client: Some(&self.client),
            tenant: Some(&self.tenant),
            server: Some(&self.server),
            version: Some(&self.version),
            kid: Some(&self.kid),
            index: client,
            strict: false,
        }
    }
}

fn settings(folder: &Path, durability: Durability) -> Settings {
    Settings {
        folder: folder.to_owned(),
        durability,
        rotate_bytes: 64 << 20,
        keep_files: 8,
        on_failure: OnFailure::Refuse,
    }
}

fn written(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("issuance.jsonl")).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn count(log: &IssuanceLog, name: &str) -> u64 {
    let families = log.collectors().iter().flat_map(|collector| collector.collect()).collect::<Vec<_>>();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters are whole")]
    let count = family.get_metric()[0].get_counter().get_value() as u64;
    count
}

/// So many tasks commit so many lines each.
async fn load(log: &Arc<IssuanceLog>, tasks: u64, lines: u64) {
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let log = log.clone();
        running.spawn(async move {
            let decided = Decided::new();
            for number in 0..lines {
                log.commit(&decided.line(task, number)).await.unwrap();
            }
        });
    }
    while let Some(task) = running.join_next().await {
        task.unwrap();
    }
}

#[test]
fn a_line_has_the_documented_shape() {
    let decided = Decided::new();
    let mut bytes = Vec::new();
    decided.line(17, 123).write_to(&mut bytes).unwrap();
    let refused = Line {
        decision: Verdict::Refused,
        code: "unauthenticated",
        jti: None,
        client: None,
        tenant: None,
        server: None,
        version: None,
        kid: None,
        strict: true,
        at: Timestamp(u64::MAX),
        ..decided.line(17, 123)
    };
    refused.write_to(&mut bytes).unwrap();
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap(), @r#"
    {"at":"2026-07-25T17:20:00.250000Z","issued_at_boottime_ns":123,"node":"00000000000000a1","decision":"issued","code":"ok","jti":"BwcHBwcHBwcHBwcHBwcHBw","client":"billing","tenant":"acme","server":"ai.acme/weather","version":"1.0.0","kid":"Gb1vYpzN7Qk","index":17}
    {"at":"18446744073709551615","issued_at_boottime_ns":123,"node":"00000000000000a1","decision":"refused","code":"unauthenticated","index":17,"strict":true}
    "#);
}

async fn lines_are_whole_and_in_order(durability: Durability) {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(IssuanceLog::open(settings(folder.path(), durability)).unwrap());
    let (tasks, lines) = (64, 20);
    load(&log, tasks, lines).await;
    let mut next = vec![0; 64];
    for line in written(folder.path()) {
        let task = usize::try_from(line["index"].as_u64().unwrap()).unwrap();
        assert_eq!(line["issued_at_boottime_ns"], next[task]);
        next[task] += 1;
    }
    assert_eq!(next, vec![lines; 64]);
    assert_eq!(count(&log, "hapi_issuance_log_lines_total"), tasks * lines);
    let writes = count(&log, "hapi_issuance_log_writes_total");
    assert!(writes * 2 < tasks * lines, "{writes} writes");
    let bytes = std::fs::metadata(folder.path().join("issuance.jsonl")).unwrap().len();
    assert_eq!(count(&log, "hapi_issuance_log_bytes_total"), bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_lines_share_a_write_and_each_task_keeps_its_order() {
    lines_are_whole_and_in_order(Durability::Os).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_lines_share_a_sync() {
    lines_are_whole_and_in_order(Durability::Disk).await;
}

#[tokio::test]
async fn a_line_is_in_the_file_when_its_commit_returns() {
    for durability in [Durability::Os, Durability::Disk] {
        let folder = tempfile::tempdir().unwrap();
        let log = IssuanceLog::open(settings(folder.path(), durability)).unwrap();
        for number in 0..3 {
            log.commit(&Decided::new().line(0, number)).await.unwrap();
            assert_eq!(written(folder.path()).last().unwrap()["issued_at_boottime_ns"], number);
        }
    }
}

/// Polls once, then drops.
fn poll_once(commit: impl Future<Output = Result<(), Unavailable>>) -> Poll<Result<(), Unavailable>> {
    std::pin::pin!(commit).poll(&mut Context::from_waker(Waker::noop()))
}

/// Drops while the line waits.
fn abandon(commit: impl Future<Output = Result<(), Unavailable>>) {
    // A thread that writes may be done before the first look.
    assert_ne!(poll_once(commit), Poll::Ready(Err(Unavailable)));
}

#[tokio::test]
async fn who_comes_alone_again_and_again_waits_for_nobody_until_there_is_company() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(IssuanceLog::open(settings(folder.path(), Durability::Os)).unwrap());
    let decided = Decided::new();
    for number in 0..u64::from(ALONE) {
        abandon(log.commit(&decided.line(0, number)));
    }
    let at_once = |log: &IssuanceLog| poll_once(log.commit(&decided.line(0, 0))) == Poll::Ready(Ok(()));
    for _ in ALONE..LOOK_AGAIN {
        assert!(at_once(&log));
    }
    assert!(!at_once(&log), "now and then it looks again");
    assert!(at_once(&log));
    load(&log, 64, 20).await;
    assert!(!at_once(&log), "there was company just now");
    let (lines, writes) = ("hapi_issuance_log_lines_total", "hapi_issuance_log_writes_total");
    let (lines, writes) = (count(&log, lines), count(&log, writes));
    assert_eq!(lines, 64 * 20 + u64::from(LOOK_AGAIN) + 3);
    assert!(writes < 100, "{writes} writes");
}

#[tokio::test]
async fn a_dropped_commit_leaves_its_line_and_hurts_nobody() {
    for durability in [Durability::Os, Durability::Disk] {
        let folder = tempfile::tempdir().unwrap();
        let log = IssuanceLog::open(settings(folder.path(), durability)).unwrap();
        let decided = Decided::new();
        abandon(log.commit(&decided.line(0, 1)));
        log.commit(&decided.line(0, 2)).await.unwrap();
        abandon(log.commit(&decided.line(0, 3)));
        drop(log);
        let numbers: Vec<_> =
            written(folder.path()).iter().map(|line| line["issued_at_boottime_ns"].clone()).collect();
        assert_eq!(numbers, [1, 2, 3]);
    }
}

#[test]
fn what_is_queued_is_written_when_the_log_is_dropped() {
    for durability in [Durability::Os, Durability::Disk] {
        let folder = tempfile::tempdir().unwrap();
        let log = IssuanceLog::open(settings(folder.path(), durability)).unwrap();
        log.shared.queue.push(&Decided::new().line(0, 1)).unwrap();
        drop(log);
        assert_eq!(written(folder.path()).len(), 1);
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = IssuanceLog::open_with(settings(folder.path(), Durability::Os), 1, false).unwrap();
    let decided = Decided::new();
    let writer = log.shared.writer.lock().unwrap();
    log.shared.queue.push(&decided.line(0, 1)).unwrap();
    assert_eq!(log.commit(&decided.line(0, 2)).await, Err(Unavailable));
    drop(writer);
    assert_eq!(count(&log, "hapi_issuance_log_failures_total"), 1);
    drop(log);
    assert_eq!(written(folder.path()).len(), 1);
}

#[tokio::test]
async fn who_finds_the_writer_busy_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(IssuanceLog::open(settings(folder.path(), Durability::Os)).unwrap());
    let mut writer = log.shared.try_writer().unwrap();
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.commit(&Decided::new().line(0, 1)).await }
    });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    log.shared.write_batch(&mut writer);
    drop(writer);
    assert_eq!(waiting.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn who_came_during_a_write_is_woken_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(IssuanceLog::open(settings(folder.path(), Durability::Os)).unwrap());
    let writer = log.shared.try_writer().unwrap();
    let commit = |number| {
        let log = log.clone();
        tokio::spawn(async move { log.commit(&Decided::new().line(0, number)).await })
    };
    let waiting = [commit(1), commit(2)];
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    // As at the end of a write that had nothing to do with these two.
    drop(writer);
    log.shared.queue.wake();
    for task in waiting {
        assert_eq!(task.await.unwrap(), Ok(()));
    }
}

/// Commits until it succeeds again.
async fn recovers(log: &IssuanceLog) {
    let began = Instant::now();
    while log.commit(&Decided::new().line(0, 2)).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10), "the log does not recover");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_every_line_until_there_is_room_again() {
    for durability in [Durability::Os, Durability::Disk] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("issuance.jsonl");
        std::os::unix::fs::symlink("/dev/full", &file).unwrap();
        let log = Arc::new(IssuanceLog::open(settings(folder.path(), durability)).unwrap());
        let mut running = JoinSet::new();
        for task in 0..16 {
            let log = log.clone();
            running.spawn(async move { log.commit(&Decided::new().line(task, 0)).await });
        }
        while let Some(outcome) = running.join_next().await {
            assert_eq!(outcome.unwrap(), Err(Unavailable));
        }
        assert_eq!(count(&log, "hapi_issuance_log_failures_total"), 16);
        assert_eq!(count(&log, "hapi_issuance_log_lines_total"), 0);
        std::fs::remove_file(&file).unwrap();
        recovers(&log).await;
        assert_eq!(written(folder.path()).len(), 1);
    }
}

#[tokio::test]
async fn a_lost_line_may_be_ignored_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("issuance.jsonl")).unwrap();
    let settings = Settings { on_failure: OnFailure::Ignore, ..settings(folder.path(), Durability::Os) };
    let log = IssuanceLog::open(settings).unwrap();
    for number in 0..3 {
        log.commit(&Decided::new().line(0, number)).await.unwrap();
    }
    assert_eq!(count(&log, "hapi_issuance_log_failures_total"), 3);
}

/// The reason why committing tasks write by themselves; to be run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a test"]
fn what_a_commit_costs() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (name, thread) in [("the committing task writes", false), ("a thread writes", true)] {
        for tasks in [1, 16, 64] {
            let folder = tempfile::tempdir().unwrap();
            let settings = settings(folder.path(), Durability::Os);
            let log = Arc::new(IssuanceLog::open_with(settings, QUEUE_BYTES, thread).unwrap());
            let lines = 200_000 / tasks;
            let began = Instant::now();
            runtime.block_on(load(&log, tasks, lines));
            let ns = began.elapsed().as_nanos() / u128::from(tasks * lines);
            let writes = count(&log, "hapi_issuance_log_writes_total");
            eprintln!("{name}: {tasks} tasks, {ns} ns a commit, {} lines a write", tasks * lines / writes);
        }
    }
}
