//! One application server in another's place, or out of it for a while: nothing that is under way is lost, and one that is not well does not get it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::stand::{Application, Stand, get, nobody};
use crate::ground::channel::{Ask, Reply};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn what_began_with_the_former_one_ends_with_it_before_it_is_said_to_be_free() {
    let former = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = former.local_addr().unwrap();
    let next = Application::answering(OK).await;
    let stand = Stand::before(address).await;
    let mut waiting = TcpStream::connect(stand.address()).await.unwrap();
    waiting.write_all(get("/").as_bytes()).await.unwrap();
    let (mut at_work, _) = former.accept().await.unwrap();
    let mut replacing = Box::pin(stand.order(Ask::Replace { former: address, next: next.address }));
    // It is asked whether it is well, and then has all that comes.
    let goes_over = async {
        while stand.ask(&get("/")).await.text() != "ok" {}
        let Reply::Upstreams(states) = stand.order(Ask::Upstreams).await else { panic!() };
        assert_eq!(states[0].address, next.address);
    };
    // Those that still went to the former one are its own: it answers nobody but the first.
    let accepting = async {
        loop {
            let (mut other, _) = former.accept().await.unwrap();
            other.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold").await.unwrap();
        }
    };
    tokio::select! {
        said = &mut replacing => panic!("the former one is still at work: {said:?}"),
        () = accepting => {}
        () = goes_over => {}
    }
    at_work.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await.unwrap();
    assert_eq!(replacing.as_mut().await, Reply::Replaced { unfinished: 0 });
    drop(replacing);
    let mut answer = Vec::new();
    waiting.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"late"));
    stand.close_clean().await;
}

/// One after the other, as where an application of several processes is deployed.
#[tokio::test]
async fn each_is_waited_for_though_its_request_is_of_before_another_ones_replacement_and_no_other_is() {
    let [one, two] =
        [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let [first, second] = [&one, &two].map(|listener| listener.local_addr().unwrap());
    let [next, after] = [Application::answering(OK).await, Application::answering(OK).await];
    let stand = Stand::start(first, |config| {
        config.app = vec![first.into(), second.into()];
        config.app_timeout = Duration::from_secs(60);
    })
    .await;
    let mut waiting = [
        TcpStream::connect(stand.address()).await.unwrap(),
        TcpStream::connect(stand.address()).await.unwrap(),
    ];
    for stream in &mut waiting {
        stream.write_all(get("/").as_bytes()).await.unwrap();
    }
    let ((mut at_one, _), (mut at_two, _)) = tokio::try_join!(one.accept(), two.accept()).unwrap();
    const LATE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlate";
    at_one.write_all(LATE).await.unwrap();
    // The second one's request is nothing to the first one.
    let replaced = stand.order(Ask::Replace { former: first, next: next.address }).await;
    assert_eq!(replaced, Reply::Replaced { unfinished: 0 });
    let Reply::Upstreams(states) = stand.order(Ask::Upstreams).await else { panic!() };
    assert_eq!((states[0].requests, states[1].requests), (0, 1), "what is known of the other stays");
    let mut replacing = Box::pin(stand.order(Ask::Replace { former: second, next: after.address }));
    let goes_over = async {
        loop {
            let Reply::Upstreams(states) = stand.order(Ask::Upstreams).await else { panic!() };
            if states[1].address == after.address {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(stand.ask(&get("/")).await.text(), "ok");
    };
    tokio::select! {
        said = &mut replacing => panic!("the second one is still at work: {said:?}"),
        () = goes_over => {}
    }
    at_two.write_all(LATE).await.unwrap();
    assert_eq!(replacing.as_mut().await, Reply::Replaced { unfinished: 0 });
    drop(replacing);
    for mut stream in waiting {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.ends_with(b"late"));
    }
    stand.close_clean().await;
}

#[tokio::test]
async fn who_is_not_well_or_not_there_does_not_get_the_place() {
    let former = Application::answering(OK).await;
    let stand = Stand::before(former.address).await;
    let ill = Application::answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let (_socket, gone) = nobody();
    for (next, why) in [
        (ill.address, "is not well: asked for /healthz, it said 503"),
        (gone, "is not well: asked for /healthz, it did not answer"),
        (former.address, "are passed on to"),
    ] {
        let Reply::Refused(causes) = stand.order(Ask::Replace { former: former.address, next }).await else {
            panic!("{next} got it")
        };
        assert!(causes[0].contains(why), "{causes:?}");
    }
    let strange = stand.order(Ask::Replace { former: gone, next: ill.address }).await;
    assert!(matches!(strange, Reply::Refused(_)));
    assert_eq!(stand.ask(&get("/")).await.text(), "ok", "the former one serves");
    stand.close_clean().await;
}

#[tokio::test]
async fn one_that_rests_is_said_to_when_it_has_answered_what_it_had_and_is_back_when_it_is_well() {
    let former = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = former.local_addr().unwrap();
    let other = Application::answering(OK).await;
    let stand = Stand::start(address, |config| config.app = vec![address.into(), other.address.into()]).await;
    let mut waiting = TcpStream::connect(stand.address()).await.unwrap();
    waiting.write_all(get("/").as_bytes()).await.unwrap();
    let (mut at_work, _) = former.accept().await.unwrap();
    let mut resting = Box::pin(stand.order(Ask::Rest { address }));
    let others_answer = async {
        // From when it rests on.
        loop {
            let Reply::Upstreams(states) = stand.order(Ask::Upstreams).await else { panic!() };
            if states[0].state == "rests" {
                break;
            }
            tokio::task::yield_now().await;
        }
        for _ in 0..6 {
            assert_eq!(stand.ask(&get("/")).await.text(), "ok");
        }
    };
    tokio::select! {
        said = &mut resting => panic!("it is still at work: {said:?}"),
        _ = former.accept() => panic!("it gets no more"),
        () = others_answer => {}
    }
    at_work
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlate")
        .await
        .unwrap();
    let mut answer = Vec::new();
    waiting.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"late"));
    assert_eq!(resting.as_mut().await, Reply::Replaced { unfinished: 0 });
    drop(resting);
    let alone = stand.order(Ask::Rest { address: other.address }).await;
    let Reply::Refused(causes) = alone else { panic!("{alone:?}") };
    assert!(causes[0].contains("no other application server would answer"), "{causes:?}");

    // It is not back before it is well, unless it is to be whatever it is.
    drop(former);
    let resume = |even_ill| Ask::Resume { address, even_ill };
    let state = async || match stand.order(Ask::Upstreams).await {
        Reply::Upstreams(states) => states[0].state.clone(),
        other => panic!("{other:?}"),
    };
    for (even_ill, expected) in [(false, "rests"), (true, "in")] {
        let Reply::Refused(causes) = stand.order(resume(even_ill)).await else { panic!("nobody is there") };
        assert!(causes[0].contains("is not well: asked for /healthz"), "{causes:?}");
        assert_eq!(state().await, expected);
    }
    let strange = stand.order(Ask::Rest { address: nobody().1 }).await;
    assert!(matches!(strange, Reply::Refused(_)), "{strange:?}");
    stand.close_clean().await;
}

/// Whether one is well is learned from requests, and there may have been none since it came back.
#[tokio::test]
async fn one_may_rest_where_another_is_up_again_though_no_request_has_shown_it() {
    let well = Application::answering(OK).await;
    let (gone, address) = nobody();
    let stand = Stand::start(address, |config| config.app = vec![address.into(), well.address.into()]).await;
    let state = async || match stand.order(Ask::Upstreams).await {
        Reply::Upstreams(states) => states[0].state.clone(),
        other => panic!("{other:?}"),
    };
    while state().await == "in" {
        assert_eq!(stand.ask(&get("/")).await.text(), "ok");
    }
    let listener = gone.listen(16).unwrap();
    let serving = async {
        loop {
            let (mut asked, _) = listener.accept().await.unwrap();
            let _ = asked.read(&mut [0; 4096]).await.unwrap();
            asked.write_all(OK.as_bytes()).await.unwrap();
        }
    };
    tokio::select! {
        never = serving => never,
        rests = stand.order(Ask::Rest { address: well.address }) => {
            assert_eq!(rests, Reply::Replaced { unfinished: 0 });
        }
    }
    stand.close_clean().await;
}
