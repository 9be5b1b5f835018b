//! Clients that ask every node to connect, flat out, and write down what they saw.
//!
//! Each lane is one keep-alive connection to one node that sends its next request when the last one is
//! answered, and never sends one twice. All lanes share one thread: what they spend is taken from the nodes.

mod connection;
mod pace;
mod request;

pub use pace::{Pace, Paced};
pub use request::{Given, Request};

use crate::{Whereabouts, boot_ns};
use connection::Connection;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::{runtime::Handle, sync::oneshot, task::JoinSet};

/// Rest after an exchange without an answer: a node that is down is not to be asked in a busy loop.
const REST: Duration = Duration::from_millis(20);

/// How long requests under way may still take when the workload ends.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What a lane asks for.
#[derive(Clone, Debug)]
pub struct Aim {
    /// The server.
    pub server: Arc<str>,
    /// The client that asks.
    pub client: Arc<str>,
    /// Its credential.
    pub token: Arc<str>,
}

/// Which lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Ask for the subject of the present trial.
    Hot,
    /// Ask for something that nobody forbids.
    Calm,
}

/// Running clients.
#[derive(Debug)]
pub struct Workload {
    shared: Arc<Shared>,
    runtime: Handle,
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

#[derive(Debug)]
struct Shared {
    whereabouts: Whereabouts,
    hot: Mutex<Aim>,
    calm: Aim,
    requests: Mutex<Vec<Request>>,
    ended: AtomicBool,
}

/// A position in the record: what came before it is left out of a look.
#[derive(Clone, Copy, Debug)]
pub struct Mark(usize);

impl Workload {
    /// Clients without lanes yet. Hot ones ask for the same as calm ones, until they are aimed.
    pub fn new(whereabouts: &Whereabouts, calm: Aim) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        // An error means that the workload was dropped, which ends it too.
        let thread = std::thread::spawn(move || drop(runtime.block_on(ended)));
        let shared = Shared {
            whereabouts: whereabouts.clone(),
            hot: Mutex::new(calm.clone()),
            calm,
            requests: Mutex::default(),
            ended: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), runtime: handle, thread: Some((end, thread)) }
    }

    /// Opens `count` lanes to the node at `place`.
    pub fn open(&self, place: usize, lane: Lane, count: usize) {
        for _ in 0..count {
            self.runtime.spawn(run(self.shared.clone(), place, lane));
        }
    }

    /// Aims the hot lanes. Their requests under way go on.
    pub fn aim(&self, aim: Aim) {
        *self.shared.hot.lock().expect("no holder panics") = aim;
    }

    /// What the hot lanes ask for.
    pub fn aimed(&self) -> Aim {
        self.shared.hot.lock().expect("no holder panics").clone()
    }

    /// The end of the record so far.
    pub fn mark(&self) -> Mark {
        Mark(self.shared.requests.lock().expect("no holder panics").len())
    }

    /// Whether a request that was answered after `mark` is like this.
    pub fn any(&self, mark: Mark, like: impl Fn(&Request) -> bool) -> bool {
        self.shared.requests.lock().expect("no holder panics")[mark.0..].iter().any(like)
    }

    /// Those that were answered after `mark`.
    pub fn since(&self, mark: Mark) -> Vec<Request> {
        self.shared.requests.lock().expect("no holder panics")[mark.0..].to_vec()
    }

    /// Ends all lanes and yields the whole record.
    pub async fn end(mut self) -> Vec<Request> {
        self.shared.ended.store(true, Ordering::Relaxed);
        let shared = self.shared.clone();
        // Every lane holds the shared part; the other two holders are this function's.
        let idle = async {
            while Arc::strong_count(&shared) > 2 {
                tokio::time::sleep(REST).await;
            }
        };
        // A node that stands still never answers; its lanes end with the thread.
        let _ = tokio::time::timeout(LAST_ANSWERS, idle).await;
        self.join();
        std::mem::take(&mut *shared.requests.lock().expect("no holder panics"))
    }

    fn join(&mut self) {
        if let Some((end, thread)) = self.thread.take() {
            let _ = end.send(());
            let _ = thread.join();
        }
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.join();
    }
}

/// One lane, until the workload ends.
async fn run(shared: Arc<Shared>, place: usize, lane: Lane) {
    let mut open = None;
    while !shared.ended.load(Ordering::Relaxed) {
        // A node that does not run is not asked: nobody could answer.
        let Some(address) = shared.whereabouts.of(place) else {
            open = None;
            tokio::time::sleep(REST).await;
            continue;
        };
        let aim = match lane {
            Lane::Hot => shared.hot.lock().expect("no holder panics").clone(),
            Lane::Calm => shared.calm.clone(),
        };
        let request = ask(&mut open, place, &address, aim).await;
        let is_broken = request.status == Request::NO_ANSWER;
        shared.requests.lock().expect("no holder panics").push(request);
        if is_broken {
            tokio::time::sleep(REST).await;
        }
    }
}

/// Sends one request, once, over the open connection or a new one.
async fn ask(open: &mut Option<Connection>, place: usize, address: &str, aim: Aim) -> Request {
    let text = request::text(address, &aim);
    let start = boot_ns();
    let answer = async {
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => Connection::open(address).await?,
        };
        let (status, body, reusable) = connection.exchange(&text).await?;
        let answer = (status, request::code(status, body), request::given(body));
        *open = reusable.then_some(connection);
        std::io::Result::Ok(answer)
    };
    let (status, code, given) =
        answer.await.unwrap_or_else(|error| (Request::NO_ANSWER, error.to_string().into(), None));
    Request { start, end: boot_ns(), place, server: aim.server, client: aim.client, status, code, given }
}

/// Sends `count` requests over `lanes` connections to each of `places`, and yields all answers.
pub async fn exchange_all(
    whereabouts: &Whereabouts,
    places: &[usize],
    lanes: usize,
    count: usize,
    aim: &Aim,
) -> Vec<Request> {
    let mut tasks = JoinSet::new();
    for lane in 0..lanes * places.len() {
        let place = places[lane % places.len()];
        let address = whereabouts.of(place).expect("the node runs");
        let aim = aim.clone();
        tasks.spawn(async move {
            let (mut open, mut answers) = (None, Vec::new());
            for _ in 0..count / lanes {
                answers.push(ask(&mut open, place, &address, aim.clone()).await);
            }
            answers
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}
