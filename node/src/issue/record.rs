//! What the issuance log says of a decision.

use super::{Ask, Signed};
use crate::issuance_log::{Line, Verdict};
use hapi_registry_state::{Caller, Issuer, Refusal, Timestamp};

/// When a decision was taken, and on what question.
pub(super) struct Record<'a> {
    pub(super) at: Timestamp,
    /// `CLOCK_BOOTTIME` at the issue instant or just after it.
    pub(super) boottime_ns: u64,
    pub(super) ask: &'a Ask,
}

impl<'a> Record<'a> {
    /// A yes.
    pub(super) fn issued(&self, signed: &'a Signed) -> Line<'a> {
        let Signed { jti, decision, issuer, strict, .. } = signed;
        Line {
            at: self.at,
            issued_at_boottime_ns: self.boottime_ns,
            node: issuer.node,
            decision: Verdict::Issued,
            code: "ok",
            jti: Some(jti),
            client: Some(&decision.client),
            tenant: decision.tenant.as_ref(),
            server: Some(&decision.server),
            version: Some(&decision.version),
            kid: Some(&issuer.kid),
            index: decision.index,
            strict: *strict,
        }
    }

    /// A no.
    pub(super) fn refused(
        &self,
        issuer: &Issuer,
        caller: Option<&'a Caller>,
        refusal: &Refusal,
        index: u64,
    ) -> Line<'a> {
        Line {
            at: self.at,
            issued_at_boottime_ns: self.boottime_ns,
            node: issuer.node,
            decision: Verdict::Refused,
            code: refusal.code(),
            jti: None,
            client: caller.and_then(|caller| caller.client.as_ref()),
            tenant: caller.and_then(|caller| caller.tenant.as_ref()),
            server: Some(&self.ask.request.server.name),
            version: self.ask.request.server.version.as_ref(),
            kid: None,
            index,
            strict: false,
        }
    }
}
