//! What an earlier program has stored is opened by this one, as the state that it was.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test stops at the first surprise")]

use hapi_cluster_tests::{Door, Node, wait_until};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};
use tempfile::TempDir;

/// The first released form, as its own program wrote it: see `scripts/format-fixtures`.
fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/form-3"))
}

/// A folder that the fixture was unpacked into, and what it must read as.
struct Relic {
    home: TempDir,
    name: &'static str,
    expected: Value,
}

impl Relic {
    fn unpack(name: &'static str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let archive = fixtures().join(format!("{name}.tar.gz"));
        let unpacked = Command::new("tar").arg("xzf").arg(archive).current_dir(&home).status().unwrap();
        assert!(unpacked.success());
        let all: Value =
            serde_json::from_slice(&fs::read(fixtures().join("expected.json")).unwrap()).unwrap();
        Self { home, name, expected: all[name].clone() }
    }

    /// Starts this program on it, and sees the state that was recorded.
    async fn open(&self) {
        let settings = [("HAPI_ISSUER", "https://registry.example"), ("HAPI_CLUSTER_BOOTSTRAP_EXPECT", "1")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let secret = fixtures().join("secret");
        let node = Node::start(&self.home.path().join(self.name), &secret, &[], &settings);
        wait_until("it leads again", async || (node.door().get("/readyz").await.status == 200).then_some(()))
            .await;
        let operator = node.door().with_token(self.expected["operator"].as_str().unwrap());
        let status = operator.get("/v1/cluster").await.ok();
        let recorded = json!({ "index": self.expected["index"], "hash": self.expected["hash"] });
        assert_eq!(status["checkpoint"], recorded, "the state at the checkpoint is the same");
        let audit = operator.get("/v1/audit?limit=1000").await.ok();
        let at = audit["records"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|record| record["index"].as_u64() < recorded["index"].as_u64());
        assert_eq!(at.count() as u64, self.expected["audited"].as_u64().unwrap());
        self.works(&operator).await;
    }

    /// It goes on from there: what is denied stays denied, and what is new is written.
    async fn works(&self, operator: &Door) {
        let client = json!({ "role": "client", "client": "new" });
        let token = operator.post("/v1/tokens", &client).await.ok()["token"].as_str().unwrap().to_owned();
        let client = operator.with_token(&token);
        let connect = async |server: &str| {
            let body = json!({ "server_ref": server, "variables": { "tenant": "a" } });
            client.post("/v1/connect", &body).await
        };
        wait_until("it issues with its new version", async || {
            (connect("com.acme/server-4").await.status == 200).then_some(())
        })
        .await;
        assert_eq!(connect("com.acme/server-3").await.code(), "server_revoked");
        assert_eq!(connect("com.acme.inner/hidden").await.code(), "server_not_found");
        let kept = operator.get("/v0.1/servers/com.acme%2Fserver-9/versions/latest").await.ok();
        assert_eq!(kept["server"]["x-kept"], json!({ "any": [1, "ü", null] }));
    }
}

#[tokio::test]
async fn a_log_of_the_first_released_form_is_replayed_to_the_state_that_was_recorded() {
    Relic::unpack("log").open().await;
}

#[tokio::test]
async fn a_snapshot_of_the_first_released_form_is_read_as_the_state_that_was_recorded() {
    Relic::unpack("snapshot").open().await;
}
