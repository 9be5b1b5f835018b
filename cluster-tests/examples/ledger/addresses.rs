//! Where the nodes are now.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How often the file is read.
const LOOK: Duration = Duration::from_millis(100);

/// The base URLs of all nodes, as the file last said.
pub(crate) type Nodes = Arc<Vec<String>>;

/// Follows the file until the program ends.
pub(crate) struct Addresses(watch::Receiver<Nodes>);

impl Addresses {
    pub(crate) fn follow(file: PathBuf) -> Self {
        let (sender, receiver) = watch::channel(read(&file));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let nodes = read(&file);
                sender.send_if_modified(|known| {
                    let is_news = *known != nodes && !nodes.is_empty();
                    if is_news {
                        *known = nodes;
                    }
                    is_news
                });
            }
        });
        Self(receiver)
    }

    pub(crate) fn now(&self) -> Nodes {
        self.0.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Nodes> {
        self.0.clone()
    }
}

fn read(file: &PathBuf) -> Nodes {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Arc::new(text.lines().map(str::to_owned).collect())
}
