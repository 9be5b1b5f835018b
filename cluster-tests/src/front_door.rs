//! One address for a whole cluster, as a load balancer gives it: what an issuer's URL leads to.

use crate::Whereabouts;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    select, spawn,
    sync::watch,
    task::AbortHandle,
};

/// Passes each connection on to the first node that takes it. It begins before there are nodes, so that they
/// can be told its address as their issuer.
#[derive(Debug)]
pub struct FrontDoor {
    url: String,
    cluster: watch::Sender<Whereabouts>,
    porter: AbortHandle,
}

impl Drop for FrontDoor {
    fn drop(&mut self) {
        self.porter.abort();
    }
}

impl FrontDoor {
    /// Opens it; nobody is behind it yet.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (cluster, behind) = watch::channel(Whereabouts::default());
        let porter = spawn(serve(listener, behind)).abort_handle();
        Self { url, cluster, porter }
    }

    /// Leads to the nodes of a cluster from now on.
    pub fn lead_to(&self, cluster: &Whereabouts) {
        self.cluster.send_replace(cluster.clone());
    }

    /// Leads to nobody from now on, and closes what was open: whoever has only this door is cut off.
    pub fn close(&self) {
        self.cluster.send_replace(Whereabouts::default());
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

async fn serve(listener: TcpListener, behind: watch::Receiver<Whereabouts>) {
    while let Ok((outside, _)) = listener.accept().await {
        let mut behind = behind.clone();
        let nodes = behind.borrow_and_update().all();
        spawn(async move {
            select! {
                () = join(outside, &nodes) => {}
                _ = behind.changed() => {}
            }
        });
    }
}

async fn join(mut outside: TcpStream, nodes: &[impl AsRef<str>]) {
    for node in nodes {
        if let Ok(mut inside) = TcpStream::connect(node.as_ref()).await {
            let _ = copy_bidirectional(&mut outside, &mut inside).await;
            return;
        }
    }
}
