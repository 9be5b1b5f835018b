//! The rules that can be left out, to prove that each of them is needed.

/// A single rule left out. Tests and builds with fault injection can choose one; other builds have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// A new session does not wait for leases that earlier ones may have given.
    NoWaitAfterStart,
    /// A lease is granted without asking a quorum.
    NoQuorumRound,
    /// A process that restarts and resumes its term goes on with the session it had.
    SessionSurvivesRestart,
    /// The holder counts the lease from the answer instead of from its question.
    CountedFromAnswer,
    /// A lease is used before the state reaches its threshold.
    UsedBeforeApplied,
    /// State and lease are checked before signing only.
    CheckedOnlyBefore,
    /// State and lease are checked only after signing, against whatever lease there is then.
    CheckedAgainstCurrent,
    /// Thresholds follow the read index alone.
    NoFloor,
    /// The granter waits for D instead of W.
    NoDriftMargin,
    /// An act that changes nothing is acknowledged without a seal.
    RepetitionAcknowledged,
    /// A deny-type write is acknowledged when it is committed.
    AcknowledgedAtCommit,
    /// A seal asks for a majority of confirmations.
    MajorityConfirms,
    /// Any grant for this node is taken, whatever it answers.
    NonceIgnored,
    /// A session opens without an entry of its own.
    NoSessionOpen,
    /// A session seals what was committed under another leadership.
    ForeignSeal,
    /// A session counts its time from when the node stood for election, not from when it was seen to lead.
    BeganBeforeElection,
    /// A round with a quorum serves requests that arrived after it had begun.
    RoundBeforeRequest,
    /// A node confirms what is committed before its issuers see it.
    ConfirmedBeforeVisible,
    /// A process that restarts goes on with the lease it had.
    LeaseSurvivesRestart,
    /// A node leaves the roster before its drain is sealed.
    LeavesUnsealed,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::NoWaitAfterStart,
        Self::NoQuorumRound,
        Self::SessionSurvivesRestart,
        Self::CountedFromAnswer,
        Self::UsedBeforeApplied,
        Self::CheckedOnlyBefore,
        Self::CheckedAgainstCurrent,
        Self::NoFloor,
        Self::NoDriftMargin,
        Self::RepetitionAcknowledged,
        Self::AcknowledgedAtCommit,
        Self::MajorityConfirms,
        Self::NonceIgnored,
        Self::NoSessionOpen,
        Self::ForeignSeal,
        Self::BeganBeforeElection,
        Self::RoundBeforeRequest,
        Self::ConfirmedBeforeVisible,
        Self::LeaseSurvivesRestart,
        Self::LeavesUnsealed,
    ];

    /// Those that a running node can be told to leave out. The others are rules about what a process forgets
    /// when it ends, or orders that the code has no switch for: only the model leaves them out.
    pub fn of_nodes() -> impl Iterator<Item = Self> {
        let is_of_model = |mutant: &Self| {
            matches!(
                mutant,
                Self::SessionSurvivesRestart
                    | Self::BeganBeforeElection
                    | Self::RoundBeforeRequest
                    | Self::ConfirmedBeforeVisible
                    | Self::LeaseSurvivesRestart
                    | Self::LeavesUnsealed
            )
        };
        Self::ALL.into_iter().filter(move |mutant| !is_of_model(mutant))
    }
}

/// Which rules hold: all, unless a fault was injected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rules {
    #[cfg(any(test, feature = "fault-injection"))]
    left_out: Option<Mutant>,
}

impl Rules {
    /// All rules but one.
    #[cfg(any(test, feature = "fault-injection"))]
    pub fn without(mutant: Mutant) -> Self {
        Self { left_out: Some(mutant) }
    }

    /// Whether the rule that `mutant` leaves out holds. Always, in a build without fault injection.
    pub fn hold(self, mutant: Mutant) -> bool {
        #[cfg(any(test, feature = "fault-injection"))]
        return self.left_out != Some(mutant);
        #[cfg(not(any(test, feature = "fault-injection")))]
        {
            let _ = mutant;
            true
        }
    }
}
