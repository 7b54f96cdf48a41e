use super::*;
use crate::state::testing::Bench;

/// Lets the provider answer the fetch under way.
#[track_caller]
fn fetched(bench: &Bench, list: &str) {
    bench.run();
    let mut provider = bench.providers.peer();
    assert!(provider.text().starts_with("GET /v1/models HTTP/1.1\r\n"));
    let (kind, length) = ("Content-Type: application/json\r\nConnection: close", list.len());
    provider.send(format!("HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{list}"));
    bench.run();
}

#[track_caller]
fn listed(bench: &Bench) -> Rc<Shown> {
    bench.poll(Box::pin(list(&bench.state))).expect("it waits for a provider")
}

#[test]
fn the_list_is_rendered_once_for_each_change() {
    const HOUR: Duration = Duration::from_secs(3600);
    let bench = Bench::new();
    refresh(&bench.state);
    fetched(&bench, "{\"data\":[{\"id\":\"m\",\"created\":7}]}");
    let first = listed(&bench);
    let text = "{\"object\":\"list\",\"data\":[{\"id\":\"p/m\",\"object\":\"model\",\
        \"owned_by\":\"p\",\"created\":7}]}\n";
    assert_eq!(std::str::from_utf8(&first.body).unwrap(), text);
    assert!(Rc::ptr_eq(&first, &listed(&bench)));
    // An old list is served while it is fetched anew, and what brings nothing new changes nothing.
    bench.pass(HOUR);
    assert!(Rc::ptr_eq(&first, &listed(&bench)));
    fetched(&bench, "{\"data\":[{\"id\":\"m\",\"created\":7}]}");
    assert!(Rc::ptr_eq(&first, &listed(&bench)));
    bench.pass(HOUR);
    assert!(Rc::ptr_eq(&first, &listed(&bench)));
    fetched(&bench, "{\"data\":[{\"id\":\"n\",\"created\":7}]}");
    let second = listed(&bench);
    assert_eq!(std::str::from_utf8(&second.body).unwrap(), text.replace("p/m", "p/n"));
    // The configuration may filter others now.
    refresh(&bench.state);
    fetched(&bench, "{\"data\":[{\"id\":\"n\",\"created\":7}]}");
    let third = listed(&bench);
    assert!(!Rc::ptr_eq(&second, &third) && second.body == third.body);
    assert!(Rc::ptr_eq(&third, &listed(&bench)));
}

#[test]
fn callers_share_the_first_fetch_and_do_not_wait_for_it_for_ever() {
    let bench = Bench::new();
    refresh(&bench.state);
    let (mut one, mut other) = (Box::pin(list(&bench.state)), Box::pin(list(&bench.state)));
    assert!(bench.poll(&mut one).is_none() && bench.poll(&mut other).is_none());
    fetched(&bench, "{\"data\":[{\"id\":\"m\"}]}");
    let both = [bench.poll(&mut one).unwrap(), bench.poll(&mut other).unwrap()];
    assert!(Rc::ptr_eq(&both[0], &both[1]));
    let bench = Bench::new();
    refresh(&bench.state);
    let mut waiting = Box::pin(list(&bench.state));
    assert!(bench.poll(&mut waiting).is_none());
    bench.pass(query::QUERY_MAX);
    assert_eq!(*bench.poll(&mut waiting).unwrap().body, b"{\"object\":\"list\",\"data\":[]}\n");
    assert_eq!(bench.report()["errors"]["p"]["models_failed"], 1);
    // A provider that failed before is given less time.
    bench.pass(query::QUERY_MAX);
    let mut waiting = Box::pin(list(&bench.state));
    assert!(bench.poll(&mut waiting).is_none());
    bench.pass(RETRY_MAX);
    assert!(bench.poll(&mut waiting).is_some());
}

#[test]
fn a_page_of_its_own_counts_as_memory_until_it_is_out_and_a_full_budget_is_told() {
    let bench = Bench::new();
    refresh(&bench.state);
    fetched(&bench, "{\"data\":[{\"id\":\"m\"}]}");
    let used = bench.state.memory.held.used();
    let answer = |fields: &str| {
        let (mut connection, mut client) = bench.connect();
        client.send(format!("GET /v1/models HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
        let during = bench.finish(async {
            let request = connection.next_request(&|_| false).await.expect("no request");
            let (response, mut entry) =
                super::super::respond(&bench.state, request, &mut connection).await;
            let during = bench.state.memory.held.used() - used;
            let outcome = response.send(&mut connection, &mut entry).await;
            entry.close(&outcome);
            during
        });
        assert_eq!(bench.state.memory.held.used(), used);
        (client.text(), during)
    };
    let version = "anthropic-version: 2023-06-01\r\n";
    let (text, during) = answer(version);
    assert_eq!(text.split_once("\r\n\r\n").unwrap().1.trim_end().len(), during, "{text}");
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert_eq!(answer("").1, 0, "the other list is shared");
    bench.state.memory.held.set_limit(used);
    let (text, _) = answer(version);
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("overloaded_error"), "{text}");
    assert!(answer("").0.starts_with("HTTP/1.1 200 "));
}
