use super::Step;
use hapi_registry_state::{ListQuery, Listed, Position, Viewer};

/// A ranking from before an entry that still holds after it gives the same pages as one that is made then.
pub(crate) fn check(step: &Step<'_>) {
    let ranking = step.before.rank("gale");
    if !step.after.still_ranks(&ranking) {
        return;
    }
    let mut query = ListQuery { limit: 2, search: Some("gale".into()), ..ListQuery::default() };
    loop {
        let page = step.after.list_ranked(&ranking, &query, Viewer::Anonymous);
        let expected = step.after.list(&query, Viewer::Anonymous);
        assert_eq!((positions(&page.items), &page.next), (positions(&expected.items), &expected.next));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return,
        }
    }
}

fn positions(items: &[Listed]) -> Vec<Position> {
    items.iter().map(Listed::position).collect()
}
