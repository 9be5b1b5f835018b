//! What a node counts, as `/metrics` shows it.

use crate::Door;

/// The samples of one look.
#[derive(Clone, Debug)]
pub struct Metrics(String);

impl Metrics {
    /// Looks at a node.
    pub async fn of(door: &Door) -> Self {
        Self(door.get("/metrics").await.text)
    }

    /// The sum of all samples of `name` that have all of `labels`, as `("kind", "lease")`.
    ///
    /// # Panics
    /// When the node does not know the metric: a sum of nothing would prove nothing.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let is_known = self.0.lines().any(|line| line.starts_with(&format!("# TYPE {name} ")));
        assert!(is_known, "there is no metric {name}");
        let wanted: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let is_sample = |line: &&str| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
            rest.is_some_and(|rest| wanted.iter().all(|label| rest.contains(label)))
        };
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        self.0.lines().filter(is_sample).filter_map(value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_added_up_by_name_and_label() {
        let text = "# TYPE a_total counter\na_total{kind=\"x\",result=\"y\"} 3\na_total{kind=\"z\"} 4\n\
                    # TYPE a_total_more gauge\na_total_more 9\n";
        let metrics = Metrics(text.into());
        assert_eq!(metrics.sum("a_total", &[]), 7.0);
        assert_eq!(metrics.sum("a_total", &[("kind", "x")]), 3.0);
        assert_eq!(metrics.sum("a_total", &[("kind", "none")]), 0.0);
        assert_eq!(metrics.sum("a_total_more", &[]), 9.0);
    }

    #[test]
    #[should_panic(expected = "there is no metric b_total")]
    fn an_unknown_metric_is_no_zero() {
        Metrics(String::new()).sum("b_total", &[]);
    }
}
