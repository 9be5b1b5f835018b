//! One act is for a thousand subjects at most.

use crate::{Cluster, by, draft, token, world::document};
use hapi_registry_state::{Act, Command, Moderated, Order, Outcome, Rejection, Role, Target};

#[test]
fn an_act_on_more_than_a_thousand_subjects_is_refused_with_their_number() {
    let mut cluster = Cluster::new();
    cluster.operate(Command::CreateToken(token("mona", Role::Moderator)));
    let version = |number: u32| document(&draft(&format!("1.0.{number}"), Vec::new(), Vec::new()));
    cluster.import((0..1_000).map(version).collect()).into_iter().for_each(|one| one.unwrap());
    let moderate = |cluster: &mut Cluster| {
        let target = Target::parse_glob("version", "ai.acme/*").unwrap();
        let (reason, case, expires_at) = ("r".into(), None, None);
        let order = Order { act: Act::Suspend, target, reason, case, expires_at };
        cluster.apply(by("mona", Role::Moderator), Command::Order(order))
    };
    match moderate(&mut cluster) {
        Outcome::Moderated(each) => {
            assert_eq!(each.len(), 1_000);
            assert!(each.iter().all(|(_, one)| *one == Ok(Moderated::Done)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(cluster.restored().hash(), cluster.0.hash());
    cluster.import(vec![version(1_000)]);
    match moderate(&mut cluster) {
        Outcome::Rejected(rejection @ Rejection::TooManySubjects { number: 1_001, .. }) => {
            let told =
                "version/ai.acme/*@* fits 1001 versions, and one act takes at most 1000: narrow the glob";
            assert_eq!(rejection.to_string(), told);
        }
        other => panic!("{other:?}"),
    }
}
