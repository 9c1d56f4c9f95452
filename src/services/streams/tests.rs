//! Connections over real sockets, with a responder that does what the question says.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use std::sync::atomic::{AtomicU64, Ordering};

use super::conversation::UNDER_WAY_MOST;
use super::room::CONNECTIONS_OF_ONE_MOST;
use super::*;
use crate::ground::journal::journal;
use crate::ground::listeners::Listeners;
use crate::services::faults::Faults;

/// `now…` is answered at once, `late…` when released, `many` with many long messages, `silence` and anything else with nothing.
#[derive(Clone)]
struct Told {
    released: Arc<Semaphore>,
    under_way: watch::Sender<usize>,
    most_under_way: Arc<AtomicU64>,
}

const MANY: u8 = 100;
const LONG: usize = 60_000;

impl Respond for Told {
    fn respond(
        &self,
        question: &[u8],
        _: SocketAddr,
        mut replies: Replies,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        if question.starts_with(b"now") {
            replies.send_now(|reply| {
                reply.clear();
                reply.extend_from_slice(question);
            });
            return None;
        }
        if question == b"silence" {
            replies.send_now(Vec::clear);
            return None;
        }
        let (told, question) = (self.clone(), question.to_vec());
        Some(async move {
            if question.starts_with(b"late") {
                told.under_way.send_modify(|count| *count += 1);
                let now = u64::try_from(*told.under_way.borrow()).unwrap();
                told.most_under_way.fetch_max(now, Ordering::Relaxed);
                told.released.acquire().await.unwrap().forget();
                told.under_way.send_modify(|count| *count -= 1);
                replies.send(&question).await;
            } else if question == b"many" {
                for number in 0..MANY {
                    replies.send(&[number; LONG]).await;
                }
            }
        })
    }
}

struct Server {
    address: SocketAddr,
    told: Told,
    stop: CancellationToken,
    served: JoinHandle<Closed>,
}

impl Server {
    fn start() -> Self {
        let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let address = listeners.addresses()[0];
        let released = Arc::new(Semaphore::new(0));
        let told = Told { released, under_way: watch::Sender::new(0), most_under_way: Arc::default() };
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(
            Gate::new(listeners, Faults::default(), journal().0),
            Plain(told.clone()),
            Arc::default(),
            stop.clone(),
        ));
        Self { address, told, stop, served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn connect_from(&self, client: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(client.parse().unwrap(), 0)).unwrap();
        socket.connect(self.address).await.unwrap()
    }
}

fn framed(questions: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let framed = |question: &[u8]| [&u16::try_from(question.len()).unwrap().to_be_bytes(), question].concat();
    questions.iter().flat_map(|question| framed(question.as_ref())).collect()
}

async fn reply(stream: &mut TcpStream) -> Vec<u8> {
    let read = async {
        let mut reply = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut reply).await.unwrap();
        reply
    };
    timeout(Duration::from_secs(30), read).await.expect("no answer in 30 s")
}

async fn is_ended(stream: &mut TcpStream) -> bool {
    timeout(Duration::from_secs(30), stream.read(&mut [0])).await.expect("open after 30 s").unwrap_or(0) == 0
}

#[tokio::test]
async fn rfc7766_section_7_what_is_ready_does_not_wait_for_what_is_not() {
    let server = Server::start();
    let mut stream = server.connect().await;
    stream.write_all(&framed(&["late", "now 1", "now 2"])).await.unwrap();
    assert_eq!(reply(&mut stream).await, b"now 1");
    assert_eq!(reply(&mut stream).await, b"now 2");
    server.told.released.add_permits(1);
    assert_eq!(reply(&mut stream).await, b"late");
}

#[tokio::test]
async fn a_thousand_questions_at_once_are_all_answered() {
    let server = Server::start();
    let (mut read, mut write) = server.connect().await.into_split();
    let questions: Vec<String> = (0..1000).map(|number| format!("now {number}")).collect();
    let expected = framed(&questions);
    let sent = expected.clone();
    let sending = tokio::spawn(async move { write.write_all(&sent).await.map(|()| write) });
    let mut came = vec![0; expected.len()];
    timeout(Duration::from_secs(30), read.read_exact(&mut came)).await.unwrap().unwrap();
    assert_eq!(came, expected);
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn no_more_than_the_bound_are_under_way() {
    const ASKED: usize = 1000;
    let server = Server::start();
    let mut under_way = server.told.under_way.subscribe();
    let (mut read, mut write) = server.connect().await.into_split();
    let questions: Vec<String> = (0..ASKED).map(|number| format!("late {number:03}")).collect();
    let sending = tokio::spawn(async move { write.write_all(&framed(&questions)).await.map(|()| write) });
    timeout(Duration::from_secs(30), under_way.wait_for(|&count| count == UNDER_WAY_MOST))
        .await
        .unwrap()
        .unwrap();
    server.told.released.add_permits(ASKED);
    let mut came = vec![0; ASKED * (2 + "late 000".len())];
    timeout(Duration::from_secs(30), read.read_exact(&mut came)).await.unwrap().unwrap();
    let came: std::collections::BTreeSet<_> = came.chunks(10).map(<[u8]>::to_vec).collect();
    assert_eq!(came.len(), ASKED);
    sending.await.unwrap().unwrap();
    assert_eq!(server.told.most_under_way.load(Ordering::Relaxed), UNDER_WAY_MOST as u64);
}

#[tokio::test]
async fn rfc5936_section_2_2_many_messages_keep_their_order_and_wait_for_the_reader() {
    let server = Server::start();
    let mut stream = server.connect().await;
    stream.write_all(&framed(&["many"])).await.unwrap();
    for number in 0..MANY {
        assert_eq!(reply(&mut stream).await, vec![number; LONG]);
    }
    stream.write_all(&framed(&["now"])).await.unwrap();
    assert_eq!(reply(&mut stream).await, b"now");
}

#[tokio::test]
async fn one_address_has_half_of_all_connections() {
    let server = Server::start();
    let mut greedy = Vec::new();
    for _ in 0..=CONNECTIONS_OF_ONE_MOST {
        greedy.push(server.connect().await);
    }
    assert!(is_ended(&mut greedy[0]).await);
    let mut others = Vec::new();
    for _ in 0..CONNECTIONS_OF_ONE_MOST {
        others.push(server.connect_from("127.0.0.77").await);
    }
    for stream in greedy[1..].iter_mut().chain(&mut others) {
        stream.write_all(&framed(&["now"])).await.unwrap();
        assert_eq!(reply(stream).await, b"now");
    }
    // All are taken: the most silent of all makes room for a third, whosever it is.
    let mut third = server.connect_from("127.0.0.78").await;
    assert!(is_ended(&mut greedy[1]).await);
    third.write_all(&framed(&["now"])).await.unwrap();
    assert_eq!(reply(&mut third).await, b"now");
}

#[tokio::test]
async fn who_waits_for_answers_on_all_its_connections_gets_no_more() {
    let server = Server::start();
    let mut under_way = server.told.under_way.subscribe();
    let mut waiting = Vec::new();
    for _ in 0..CONNECTIONS_OF_ONE_MOST {
        let mut stream = server.connect().await;
        stream.write_all(&framed(&["late"])).await.unwrap();
        waiting.push(stream);
    }
    under_way.wait_for(|&count| count == CONNECTIONS_OF_ONE_MOST).await.unwrap();
    assert!(is_ended(&mut server.connect().await).await);
    server.told.released.add_permits(CONNECTIONS_OF_ONE_MOST);
    for stream in &mut waiting {
        assert_eq!(reply(stream).await, b"late");
    }
}

#[tokio::test]
async fn silence_ends_the_connection_after_what_is_under_way() {
    let server = Server::start();
    let mut stream = server.connect().await;
    stream.write_all(&framed(&["late", "silence", "now: too late"])).await.unwrap();
    server.told.released.add_permits(1);
    assert_eq!(reply(&mut stream).await, b"late");
    assert!(is_ended(&mut stream).await);
}

#[tokio::test]
async fn who_says_that_nothing_more_comes_still_has_its_answers() {
    let server = Server::start();
    let mut under_way = server.told.under_way.subscribe();
    let mut stream = server.connect().await;
    stream.write_all(&framed(&["late"])).await.unwrap();
    stream.shutdown().await.unwrap();
    under_way.wait_for(|&count| count == 1).await.unwrap();
    server.told.released.add_permits(1);
    assert_eq!(reply(&mut stream).await, b"late");
    assert!(is_ended(&mut stream).await);
}

#[tokio::test]
async fn a_closing_server_finishes_what_is_under_way_and_cuts_what_does_not_end() {
    for (permits, cut) in [(1, 0), (0, 1)] {
        let server = Server::start();
        let mut under_way = server.told.under_way.subscribe();
        let mut stream = server.connect().await;
        stream.write_all(&framed(&["late"])).await.unwrap();
        under_way.wait_for(|&count| count == 1).await.unwrap();
        server.stop.cancel();
        server.told.released.add_permits(permits);
        if permits == 1 {
            assert_eq!(reply(&mut stream).await, b"late");
        }
        assert!(is_ended(&mut stream).await);
        assert_eq!(server.served.await.unwrap(), Closed { cut });
    }
}

#[tokio::test]
async fn rfc7766_section_6_2_3_silence_is_not_endured_for_ever() {
    let server = Server::start();
    let mut silent = server.connect().await;
    // A question that never becomes whole is silence as well.
    let mut slow = server.connect().await;
    slow.write_all(&[0, 3, b'n']).await.unwrap();
    assert!(is_ended(&mut silent).await);
    assert!(is_ended(&mut slow).await);
}
