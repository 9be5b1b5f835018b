//! One connection's closed loop.

use super::connection::Connection;
use super::request::{Source, Target};
use super::stats::Stats;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Rest after a failed exchange: a node that is down should not be measured by how fast it refuses
/// connections.
const REST: Duration = Duration::from_millis(50);

/// When all connections together have done enough.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    sent: Arc<AtomicU64>,
    requests: u64,
    until: Option<Instant>,
}

impl Budget {
    /// Ends after so many requests.
    pub(super) fn requests(requests: u64) -> Self {
        Self { sent: Arc::default(), requests, until: None }
    }

    /// Ends at an instant.
    pub(super) fn until(instant: Instant) -> Self {
        Self { sent: Arc::default(), requests: u64::MAX, until: Some(instant) }
    }

    /// How many requests were taken from it.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed).min(self.requests)
    }

    fn take(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
            && self.sent.fetch_add(1, Ordering::Relaxed) < self.requests
    }
}

/// One connection, its node, and what it sends.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) target: Target,
    pub(super) source: Source,
    pub(super) budget: Budget,
}

impl Worker {
    /// Sends and waits, again and again, until the budget is spent. A connection that ends is opened anew.
    pub(super) async fn run(mut self) -> Stats {
        let mut stats = Stats::default();
        let mut request = Vec::new();
        let mut open = None;
        while self.budget.take() {
            self.source.next(&self.target, &mut request);
            if let Err(error) = self.exchange(&mut open, &request, &mut stats).await {
                stats.broke(&error);
                open = None;
                tokio::time::sleep(REST).await;
            }
        }
        stats
    }

    async fn exchange(
        &self,
        open: &mut Option<Connection>,
        request: &[u8],
        stats: &mut Stats,
    ) -> std::io::Result<()> {
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => Connection::open(&self.target.address).await?,
        };
        let started = Instant::now();
        let (status, body, reusable) = connection.exchange(request).await?;
        stats.answered(status, body, started.elapsed());
        *open = reusable.then_some(connection);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers `answers` in order, the last one for ever, on every connection.
    async fn node(answers: &'static [&'static str]) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut served = 0;
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = [0; 4096];
                while let Ok(1..) = stream.read(&mut buffer).await {
                    let answer = answers[served.min(answers.len() - 1)];
                    served += 1;
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if answer.contains("close") {
                        break;
                    }
                }
            }
        });
        Target::parse(&format!("http://{address}"), None).unwrap()
    }

    async fn run(target: Target, requests: u64) -> Stats {
        let source = Source::connects(&target, "/", &["a.b/c".parse().unwrap()], 0);
        Worker { target, source, budget: Budget::requests(requests) }.run().await
    }

    #[tokio::test]
    async fn every_answer_is_counted_by_its_status() {
        let answers = &[
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ];
        let stats = run(node(answers).await, 5).await;
        assert_eq!(stats.statuses.into_iter().collect::<Vec<_>>(), [(200, 4), (403, 1)]);
        assert_eq!((stats.latency_us.len(), stats.broken), (5, 0));
        assert_eq!(stats.first_refusal.as_deref(), Some("{}"));
    }

    #[tokio::test]
    async fn a_node_that_is_not_there_is_a_broken_exchange() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::parse(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
        drop(listener);
        let stats = run(target, 2).await;
        assert_eq!((stats.answers(), stats.broken), (0, 2));
    }

    #[test]
    fn a_budget_of_requests_is_shared() {
        let budget = Budget::requests(3);
        let other = budget.clone();
        assert_eq!([budget.take(), other.take(), budget.take(), other.take()], [true, true, true, false]);
        assert_eq!(budget.sent(), 3);
    }
}
