//! The issuing desk: from a request to a signed descriptor.

use crate::{clock, problem::Problem, signing::Signing};
use hapi_descriptor::{Claims, ClientClaim, Jti, SCOPE_CONNECT, Seq, ServerClaim, Signer};
use hapi_raft::Replica;
use hapi_registry_state::{ConnectRequest, Credential, Decision, Issuer, Refusal};
use std::{sync::Arc, time::Duration};

/// How long a request may wait for the state that it asks for.
const MIN_INDEX_WAIT: Duration = Duration::from_secs(2);

/// The history of a cluster that was never restored from a backup.
const FIRST_INCARNATION: u64 = 1;

/// What issuing needs beside the replica.
pub(crate) struct Desk {
    /// The cluster's issuer URL.
    pub(crate) issuer: String,
    /// This node's keys.
    pub(crate) signing: Arc<Signing>,
}

/// A descriptor, and the decision behind it.
pub(crate) struct Issued {
    pub(crate) descriptor: String,
    pub(crate) decision: Decision,
}

/// Says at which index it was refused, but to nobody who has not shown who it is.
fn refuse(refusal: Refusal, index: u64) -> Problem {
    match refusal {
        Refusal::Unauthenticated => Problem::unauthenticated(),
        refusal => Problem::from(refusal).at(index),
    }
}

impl Desk {
    /// Decides `request` and signs a yes.
    ///
    /// The order is the guarantee: a majority first tells how far the log reaches, *then* the state is
    /// loaded, and credential, request, signing key and this node itself are judged on that one state. A
    /// write acknowledged before the request arrived is therefore in the state that decides.
    pub(crate) async fn issue(
        &self,
        replica: &Replica,
        credential: &Credential,
        request: &ConnectRequest,
        min_index: Option<u64>,
    ) -> Result<Issued, Problem> {
        replica.read_index().await?;
        self.wait_for(replica, credential, min_index).await?;
        let state = replica.state();
        let now = clock::now();
        let node = replica.node_id();
        let (kid, signer) = self.signing.signer(&state, node).ok_or(Refusal::NoServingLease)?;
        let issuer = Issuer { node, kid };
        let decision = state.decide(now, credential, request, &issuer);
        let decision = decision.map_err(|refusal| refuse(refusal, state.applied()))?;
        let descriptor = self.sign(&signer, &decision, now.seconds())?;
        Ok(Issued { descriptor, decision })
    }

    /// Waits for a state at or above `min_index`, but only for somebody.
    async fn wait_for(
        &self,
        replica: &Replica,
        credential: &Credential,
        min_index: Option<u64>,
    ) -> Result<(), Problem> {
        let state = replica.state();
        let Some(index) = min_index.filter(|index| *index > state.applied()) else { return Ok(()) };
        state.authenticate(credential, clock::now()).ok_or_else(Problem::unauthenticated)?;
        if replica.wait_applied(index, MIN_INDEX_WAIT).await {
            return Ok(());
        }
        let detail = format!("this node has not reached index {index}");
        Err(Problem::unavailable("no_serving_lease", detail).at(replica.state().applied()))
    }

    fn sign(&self, signer: &Signer, decision: &Decision, now: u64) -> Result<String, Problem> {
        let seq = Seq::from_parts(FIRST_INCARNATION, decision.index).ok_or(Refusal::NoServingLease)?;
        let mut jti = [0; 16];
        clock::fill_random(&mut jti);
        Ok(signer.sign(&Claims {
            iss: self.issuer.clone(),
            aud: decision.endpoint.as_written().to_owned(),
            iat: now,
            exp: now + u64::from(decision.ttl),
            jti: Jti::new(jti),
            scope: SCOPE_CONNECT.to_owned(),
            server: ServerClaim {
                id: decision.server.to_string(),
                version: decision.version.to_string(),
                verified: decision.verified,
                jwks_uri: decision.jwks_uri.clone(),
                tls_pin_sha256: decision.tls_pin_sha256.clone(),
            },
            client: ClientClaim {
                id: decision.client.to_string(),
                tenant: decision.tenant.as_ref().map(ToString::to_string),
            },
            seq,
        }))
    }
}
