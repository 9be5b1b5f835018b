//! The issuing desk: from a request to a signed descriptor, by this node's own lease and from its own memory.

mod elsewhere;
mod record;

pub(crate) use elsewhere::Answered;

use crate::{budget::Budgets, clock, faults, issuance_log::IssuanceLog, problem::Problem, signing::Signing};
use hapi_descriptor::{Claims, ClientClaim, Jti, SCOPE_CONNECT, Seq, ServerClaim, Signer};
use hapi_raft::{Permit, Replica, Verdict};
use hapi_registry_state::{ConnectRequest, Credential, Decision, Issuer, NodeId, Refusal, Registry};
use record::Record;
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

/// How long a request may wait for the state that it asks for.
const MIN_INDEX_WAIT: Duration = Duration::from_secs(2);

/// How long a majority may take to say whether there is more to know. Without its word the answer is what
/// this node knows.
const LEARN_TIMEOUT: Duration = Duration::from_millis(500);

/// How often a decision is taken anew because something was denied while it was signed. Each time takes
/// microseconds; more denials than that in a row are no ordinary work.
pub(crate) const MOST_DENIALS: usize = 16;

/// A connect as a client asks for it, and as it is handed to the leader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// How the caller proves itself; judged on the state that decides, and nowhere else.
    pub(crate) credential: Credential,
    /// What is asked for.
    pub(crate) request: ConnectRequest,
    /// Only from a state at or above this index.
    pub(crate) min_index: Option<u64>,
}

/// What issuing needs beside the replica.
pub(crate) struct Desk {
    /// The cluster's issuer URL.
    pub(crate) issuer: String,
    /// This node's keys.
    pub(crate) signing: Arc<Signing>,
    /// Where decisions are written down before they are answered.
    pub(crate) log: IssuanceLog,
    /// What clients and tenants have asked for here lately.
    pub(crate) budgets: Budgets,
    /// How long a connect waits for a lease or a leader.
    pub(crate) handover_wait: Duration,
    /// Whether this node's clocks may stand still unnoticed: a majority then confirms each descriptor.
    pub(crate) distrusts_clock: AtomicBool,
}

/// A descriptor, and the decision behind it.
pub(crate) struct Issued {
    pub(crate) descriptor: String,
    pub(crate) decision: Decision,
}

/// Whether an ask has been counted here: once, however often it is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted(bool);

/// A signed descriptor that nobody has seen yet.
struct Signed {
    descriptor: String,
    jti: Jti,
    decision: Decision,
    issuer: Issuer,
    strict: bool,
}

/// Why an attempt gave no descriptor.
enum Miss {
    /// This node may not decide: no lease, no key, not on the roster.
    Unfit,
    /// The lease ended, or the decision changed, before the descriptor could leave.
    Overtaken,
    /// No.
    Problem(Problem),
}

impl From<Problem> for Miss {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Desk {
    /// Decides by this node's own lease. `None` if it may not decide now.
    ///
    /// Nothing is asked of other nodes, but in strict mode. An attempt that was overtaken is made once more.
    async fn issue_here(
        &self,
        replica: &Replica,
        ask: &Ask,
        counted: &mut Counted,
    ) -> Result<Option<Issued>, Problem> {
        if let Some(index) = ask.min_index {
            // Whoever may ask no more may not wait either.
            self.spend(replica, &ask.credential, counted)?;
            Box::pin(self.wait_for(replica, ask, index)).await?;
        }
        for last in [false, true] {
            match self.attempt(replica, ask, counted, last).await {
                Ok(issued) => return Ok(Some(issued)),
                Err(Miss::Unfit) => return Ok(None),
                Err(Miss::Overtaken) => {}
                Err(Miss::Problem(problem)) => return Err(problem),
            }
        }
        Ok(None)
    }

    /// The order is the guarantee: the lease is captured, *then* the state is loaded; credential, request,
    /// signing key and this node itself are judged on that one state; after signing the state is read once
    /// more, and then the *captured* lease must still be valid. The last read is the issue instant.
    ///
    /// What rarely happens is boxed: the future of the usual way is moved about, and is to be small.
    async fn attempt(
        &self,
        replica: &Replica,
        ask: &Ask,
        counted: &mut Counted,
        last: bool,
    ) -> Result<Issued, Miss> {
        let mut permit = replica.permit().ok_or(Miss::Unfit)?;
        if permit.state().has_connect_budgets() {
            self.count(replica, &permit, &ask.credential, counted)?;
        }
        let signed = match self.sign(replica, &permit, ask)? {
            Ok(signed) => signed,
            Err((issuer, refusal)) => {
                return Err(Box::pin(self.refuse(replica, &permit, ask, &issuer, refusal, last)).await);
            }
        };
        if let Some(delay) = faults::issue_delay() {
            tokio::time::sleep(delay).await;
        }
        let asked_at = if signed.strict { Some(Box::pin(confirm(replica)).await?) } else { None };
        let released_at = self.release(replica, &mut permit, ask, &signed)?;
        let record = Record { at: permit.wall(), boottime_ns: asked_at.unwrap_or(released_at), ask };
        self.log.commit(&record.issued(&signed)).await.map_err(|_| Problem::issuance_log_unavailable())?;
        let Signed { descriptor, decision, .. } = signed;
        Ok(Issued { descriptor, decision })
    }

    /// Counts the ask before its answer is worked for, as far as this node may decide.
    pub(crate) fn spend(
        &self,
        replica: &Replica,
        credential: &Credential,
        counted: &mut Counted,
    ) -> Result<(), Problem> {
        match replica.permit() {
            Some(permit) if permit.state().has_connect_budgets() => {
                self.count(replica, &permit, credential, counted)
            }
            _ => Ok(()),
        }
    }

    /// Counts the ask against the budgets of the client that asks, whatever it will be answered. Whoever proves to be
    /// no client spends nothing; a node that could not decide leaves the counting to the one that does.
    ///
    /// When a budget is spent, that is the answer, and no line in the issuance log: a flood must not fill it.
    fn count(
        &self,
        replica: &Replica,
        permit: &Permit,
        credential: &Credential,
        counted: &mut Counted,
    ) -> Result<(), Problem> {
        let state = permit.state();
        if counted.0 || !self.can_sign(state, replica.node_id()) {
            return Ok(());
        }
        let Some(caller) = state.authenticate(credential, permit.wall()) else { return Ok(()) };
        let Some(client) = &caller.client else { return Ok(()) };
        counted.0 = true;
        let (tenant, index) = (caller.tenant.as_ref(), state.applied());
        let spent = self.budgets.spend(state.connect_budgets(tenant), client, tenant);
        spent.map_err(|spent| Problem::rate_limited(spent.to_string(), spent.wait()).at(index))
    }

    fn sign(
        &self,
        replica: &Replica,
        permit: &Permit,
        ask: &Ask,
    ) -> Result<Result<Signed, (Issuer, Refusal)>, Miss> {
        let (state, now, node) = (permit.state(), permit.wall(), replica.node_id());
        let (kid, signer) = self.signing.signer(state, node).ok_or(Miss::Unfit)?;
        let issuer = Issuer { node, kid };
        let decision = match state.decide(now, &ask.credential, &ask.request, &issuer) {
            Ok(decision) => decision,
            Err(Refusal::NoServingLease) => return Err(Miss::Unfit),
            Err(refusal) => return Ok(Err((issuer, refusal))),
        };
        let strict = decision.strict || self.distrusts_clock.load(Ordering::Relaxed);
        let (descriptor, jti) = self.seal_claims(&signer, &decision, now.seconds()).ok_or(Miss::Unfit)?;
        Ok(Ok(Signed { descriptor, jti, decision, issuer, strict }))
    }

    /// Reads the state for the last time, decides again if something was denied, and checks the lease.
    fn release(
        &self,
        replica: &Replica,
        permit: &mut Permit,
        ask: &Ask,
        signed: &Signed,
    ) -> Result<u64, Miss> {
        for _ in 0..MOST_DENIALS {
            match replica.release(permit) {
                Verdict::Issue { boottime_ns } => return Ok(boottime_ns),
                Verdict::Withhold => return Err(Miss::Overtaken),
                Verdict::DecideAgain => {
                    let again =
                        permit.state().decide(permit.wall(), &ask.credential, &ask.request, &signed.issuer);
                    let stands = again.is_ok_and(|again| again.says_the_same(&signed.decision));
                    // Allowed all the same, but the feed kills what states an index below that entry.
                    if !stands || permit.state().kills(&signed.decision) {
                        return Err(Miss::Overtaken);
                    }
                }
            }
        }
        Err(Miss::Overtaken)
    }

    /// A no, written down unless nobody knows who asked.
    async fn refuse(
        &self,
        replica: &Replica,
        permit: &Permit,
        ask: &Ask,
        issuer: &Issuer,
        refusal: Refusal,
        last: bool,
    ) -> Miss {
        let state = permit.state();
        if !last && is_ignorance(&refusal) && has_more_to_learn(replica, state).await {
            return Miss::Overtaken;
        }
        if refusal == Refusal::Unauthenticated {
            return Miss::Problem(Problem::unauthenticated());
        }
        let record = Record { at: permit.wall(), boottime_ns: replica.boottime_ns(), ask };
        let caller = state.authenticate(&ask.credential, permit.wall());
        let line = record.refused(issuer, caller.as_ref(), &refusal, state.applied());
        if self.log.commit(&line).await.is_err() {
            return Miss::Problem(Problem::issuance_log_unavailable());
        }
        Miss::Problem(Problem::from(refusal).at(state.applied()))
    }

    /// Waits for a state at or above the index that was asked for, but only for somebody.
    async fn wait_for(&self, replica: &Replica, ask: &Ask, index: u64) -> Result<(), Problem> {
        let state = replica.state();
        if index <= state.applied() {
            return Ok(());
        }
        state.authenticate(&ask.credential, clock::now()).ok_or_else(Problem::unauthenticated)?;
        if replica.wait_applied(index, MIN_INDEX_WAIT).await {
            return Ok(());
        }
        let detail = format!("this node has not reached index {index}");
        Err(Problem::unavailable("no_serving_lease", detail).at(replica.state().applied()))
    }

    fn seal_claims(&self, signer: &Signer, decision: &Decision, now: u64) -> Option<(String, Jti)> {
        let seq = Seq::from_parts(decision.incarnation, decision.index)?;
        let jti = Jti::new(clock::random_name());
        let descriptor = signer.sign(&Claims {
            iss: self.issuer.clone(),
            aud: decision.endpoint.as_written().to_owned(),
            iat: now,
            exp: now + u64::from(decision.ttl),
            jti,
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
        });
        Some((descriptor, jti))
    }

    /// Whether this node could sign now, by the state that it has.
    pub(crate) fn can_sign(&self, state: &Registry, node: NodeId) -> bool {
        state.is_active_member(node) && self.signing.signer(state, node).is_some()
    }
}

/// Strict mode: a majority confirms, *after* the descriptor was signed, how far the log reaches, and this
/// node's state is waited for. The issue instant is the start of that round, which is answered here.
async fn confirm(replica: &Replica) -> Result<u64, Miss> {
    let asked_at = replica.boottime_ns();
    replica.read_index().await.map_err(Problem::from)?;
    Ok(asked_at)
}

/// Whether the log reaches beyond `state`: what this node has not heard of may have been made elsewhere a
/// moment ago, and nobody is told that it does not exist before a majority was asked. A node that gets no word
/// has nothing to learn.
async fn has_more_to_learn(replica: &Replica, state: &Registry) -> bool {
    let asked = timeout(LEARN_TIMEOUT, replica.read_index()).await;
    asked.is_ok_and(|index| index.is_ok_and(|index| index > state.applied()))
}

/// Whether a refusal only says that something is not known here.
fn is_ignorance(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Unauthenticated | Refusal::ServerNotFound(_) | Refusal::VersionNotFound(..))
}
