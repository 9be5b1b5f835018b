//! What the machine's clocks are made from, and whether leases may rest on it.
//!
//! A lease rests on clocks that go on while this machine stands still. A paravirtual clock is what the
//! hypervisor says it is: it may freeze a guest, and the guest's clocks with it, so that a lease outlives its
//! time unnoticed. Where that can be, connects are confirmed by a quorum (strict mode) instead.
//!
//! *Trusted* means no more than that the kernel counts a hardware clock. It is no proof: a hypervisor may
//! shift even the counter that a guest reads, at a live migration or when it resumes a snapshot. A VMClock
//! device would tell of that; none is read. Who runs nodes on machines that are paused or moved sets
//! `lease.clock` to `untrusted`.

use serde::{Deserialize, Serialize};

/// Where Linux says which clock source it uses.
const CURRENT: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// Those of a hypervisor, and those that count timer interrupts, which a frozen guest does not get.
const UNTRUSTED: [&str; 4] = ["kvm-clock", "xen", "jiffies", "refined-jiffies"];

/// Hyper-V has several, by how they are read.
const UNTRUSTED_PREFIX: &str = "hyperv_clocksource";

/// The clock source of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClockSource {
    /// As the kernel calls it; `unknown` if it does not tell.
    pub(crate) name: String,
    /// Whether leases may rest on it.
    pub(crate) trusted: bool,
}

/// Whether leases may rest on the clocks: the setting `lease.clock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClockTrust {
    /// As the clock source says.
    #[default]
    Auto,
    /// The operator knows that this machine is never frozen.
    Trusted,
    /// The operator knows that it may be.
    Untrusted,
}

/// Reads the clock source. The kernel may change it later, if it finds its counter unstable: read it again
/// where that matters.
pub(crate) fn read() -> ClockSource {
    ClockSource::named(std::fs::read_to_string(CURRENT).ok().as_deref())
}

impl ClockSource {
    /// Judges what the kernel says, `None` if it says nothing.
    fn named(text: Option<&str>) -> Self {
        let Some(name) = text.map(str::trim).filter(|name| !name.is_empty()) else {
            return Self { name: "unknown".into(), trusted: false };
        };
        let trusted = !UNTRUSTED.contains(&name) && !name.starts_with(UNTRUSTED_PREFIX);
        Self { name: name.into(), trusted }
    }

    /// The same, as the operator wants it judged.
    pub(crate) fn judged(self, trust: ClockTrust) -> Self {
        let trusted = match trust {
            ClockTrust::Auto => self.trusted,
            ClockTrust::Trusted => true,
            ClockTrust::Untrusted => false,
        };
        Self { trusted, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_a_hypervisor_may_freeze_is_not_trusted() {
        for (text, trusted) in [
            ("tsc\n", true),
            ("arch_sys_counter\n", true),
            ("hpet", true),
            ("acpi_pm", true),
            ("kvm-clock\n", false),
            ("hyperv_clocksource_tsc_page\n", false),
            ("hyperv_clocksource_msr\n", false),
            ("xen\n", false),
            ("refined-jiffies\n", false),
            ("jiffies\n", false),
        ] {
            let source = ClockSource::named(Some(text));
            assert_eq!((source.name.as_str(), source.trusted), (text.trim(), trusted));
        }
    }

    #[test]
    fn a_clock_that_nobody_names_is_not_trusted() {
        for text in [None, Some(""), Some("\n")] {
            assert_eq!(ClockSource::named(text), ClockSource { name: "unknown".into(), trusted: false });
        }
    }

    #[test]
    fn the_operator_has_the_last_word() {
        for (name, auto) in [("tsc", true), ("kvm-clock", false)] {
            let judged = |trust| ClockSource::named(Some(name)).judged(trust).trusted;
            assert_eq!(
                [ClockTrust::Auto, ClockTrust::Trusted, ClockTrust::Untrusted].map(judged),
                [auto, true, false]
            );
        }
    }
}
