use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::*;

/// Names whose addresses a test decides.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>);

impl Book {
    fn write(&self, host: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.0.lock().insert(host.to_owned(), addresses);
    }

    fn strike(&self, host: &str) {
        self.0.lock().remove(host);
    }
}

#[async_trait]
impl Names for Book {
    async fn look_up(&self, host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = self.0.lock().get(host).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn terms(hosts: &[&str]) -> PoolTerms {
    let server = |host: &&str| ServerAddress::Host {
        tls: false,
        host: (*host).to_owned(),
        port: 80,
    };
    PoolTerms {
        servers: hosts.iter().map(server).collect(),
        balance: Balance::RoundRobin,
        protocol: Protocol::Http1,
        server_name: None,
        ca_file: None,
        client: None,
        preserve_host: true,
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(5),
        idle_timeout: None,
        check: None,
        tolerance: Tolerance {
            failures: 1,
            statuses: vec![503],
            pause: Duration::from_mins(1),
        },
    }
}

fn known(pool: &Pool) -> Vec<String> {
    pool.health().into_iter().map(|health| health.server).collect()
}

#[tokio::test]
async fn new_addresses_come_in_and_old_ones_drain() {
    let book = Book::default();
    book.write("web", &["10.0.0.1:80", "10.0.0.2:80"]);
    let pool = Pool::with_names(terms(&["web"]), Box::new(book.clone())).await.unwrap();
    let seats = [pool.seat(&[]).unwrap(), pool.seat(&[]).unwrap()];
    let stays = Arc::clone(seats[1].server());
    pool.failed(&stays, "a test");
    book.write("web", &["10.0.0.2:80", "10.0.0.3:80"]);
    pool.resolve().await;
    assert_eq!(known(&pool), ["10.0.0.2:80", "10.0.0.3:80"]);
    let health = pool.health();
    assert_eq!(
        (health[0].open, health[0].is_in),
        (1, false),
        "what is known of an address stays"
    );
    let gone = Arc::clone(seats[0].server());
    assert_eq!(
        (gone.target.to_string().as_str(), gone.open()),
        ("10.0.0.1:80", 1),
        "what is there may finish"
    );
    drop(seats);
    assert_eq!(gone.open(), 0);
    for _ in 0..4 {
        assert!(!Arc::ptr_eq(pool.seat(&[]).unwrap().server(), &gone));
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_keeps_its_last_addresses() {
    let book = Book::default();
    book.write("one", &["10.0.0.1:80"]);
    let pool = Pool::with_names(terms(&["one", "two"]), Box::new(book.clone()))
        .await
        .unwrap();
    assert_eq!(
        known(&pool),
        ["10.0.0.1:80"],
        "what cannot be resolved yet is no server"
    );
    book.write("two", &["10.0.0.2:80"]);
    book.strike("one");
    pool.resolve().await;
    assert_eq!(known(&pool), ["10.0.0.1:80", "10.0.0.2:80"]);
    book.write("two", &[]);
    pool.resolve().await;
    assert_eq!(
        known(&pool),
        ["10.0.0.1:80", "10.0.0.2:80"],
        "nor does an empty answer take any away"
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_without_an_address_is_looked_up_again_soon() {
    let book = Book::default();
    let pool = Pool::with_names(terms(&["web"]), Box::new(book.clone())).await.unwrap();
    assert!(known(&pool).is_empty());
    book.write("web", &["10.0.0.1:80"]);
    let found = async {
        while known(&pool).is_empty() {
            tokio::time::sleep(SWEEP).await;
        }
    };
    let keeping = pool.keep(CancellationToken::new());
    tokio::select! {
        () = keeping => unreachable!("the pool is there"),
        found = tokio::time::timeout(RESOLVE / 2, found) => found.unwrap(),
    }
}

#[tokio::test]
async fn a_request_goes_on_to_a_third_server_and_no_further() {
    let pool = Pool::new(terms(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]))
        .await
        .unwrap();
    let (mut route, mut been) = (Route::default(), Vec::new());
    loop {
        route.next(&pool).unwrap();
        been.push(route.server().unwrap().to_string());
        let mut error = pingora::Error::new(pingora::ErrorType::ConnectRefused);
        route.unreachable(&mut error);
        if !error.retry() {
            break;
        }
    }
    been.sort_unstable();
    been.dedup();
    assert_eq!(been.len(), 3, "{been:?}");
}

#[tokio::test]
async fn a_chosen_status_is_a_failure_and_another_one_is_an_answer() {
    let pool = Pool::new(terms(&["10.0.0.1", "10.0.0.2"])).await.unwrap();
    let server = Arc::clone(pool.seat(&[]).unwrap().server());
    pool.answered(&server, 500);
    assert!(pool.health().iter().all(|health| health.is_in));
    pool.answered(&server, 503);
    let out = |pool: &Pool| pool.health().iter().filter(|health| !health.is_in).count();
    assert_eq!(out(&pool), 1);
    pool.answered(&server, 200);
    assert_eq!(out(&pool), 0);
}

#[tokio::test]
async fn an_empty_name_is_refused() {
    let mut https = terms(&[]);
    for (host, name, accepted) in [
        ("web", None, true),
        ("", None, false),
        ("web", Some(""), false),
        ("", Some("a"), true),
    ] {
        https.servers = vec![ServerAddress::Host {
            tls: true,
            host: host.to_owned(),
            port: 443,
        }];
        https.server_name = name.map(str::to_owned);
        let made = Pool::with_names(https.clone(), Box::new(Book::default())).await;
        assert_eq!(made.is_ok(), accepted, "{host:?} {name:?}");
    }
}

#[tokio::test]
async fn connections_of_two_pools_are_not_each_other_s() {
    use pingora::upstreams::peer::Peer;

    let (one, other) = (terms(&["10.0.0.1"]), terms(&["10.0.0.1"]));
    let (one, other) = (Pool::new(one).await.unwrap(), Pool::new(other).await.unwrap());
    let hash = |pool: &Arc<Pool>| {
        let seat = pool.seat(&[]).unwrap();
        pool.peer(seat.server(), Use::Requests, None).unwrap().reuse_hash()
    };
    assert_eq!(hash(&one), hash(&one));
    assert_ne!(hash(&one), hash(&other));
}

#[tokio::test]
async fn a_pool_is_kept_no_longer_than_it_is_there() {
    let pool = Pool::new(terms(&["10.0.0.1"])).await.unwrap();
    let keeping = pool.keep(CancellationToken::new());
    drop(pool);
    tokio::time::timeout(Duration::from_secs(10), keeping).await.unwrap();
}

#[tokio::test]
async fn after_a_line_that_was_given_up_the_next_try_takes_a_connection_of_its_own() {
    use pingora::upstreams::peer::Peer;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    let pool = Pool::new(terms(&["10.0.0.1"])).await.unwrap();
    let (near, _far) = UnixStream::pair().unwrap();
    let mut first = Route::default();
    let kept = first.next(&pool).unwrap().reuse_hash();
    first.connected(near.as_raw_fd(), false).unwrap();
    drop(first);
    let now = Instant::now();
    for minutes in [2, 4] {
        pool.lines.sweep(now + idle::IDLE * minutes);
    }
    let mut route = Route::default();
    assert_eq!(route.next(&pool).unwrap().reuse_hash(), kept);
    let mut error = route.connected(near.as_raw_fd(), true).unwrap_err();
    let broken = Broken {
        is_repeatable: false,
        is_whole: false,
        is_reused: true,
    };
    route.broke(&mut error, &broken);
    assert!(error.retry(), "nothing has been sent, so anything may be sent again");
    assert_ne!(
        route.next(&pool).unwrap().reuse_hash(),
        kept,
        "of those that are kept another one may be as old"
    );
    assert!(
        pool.health().iter().all(|health| health.is_in),
        "its server has done nothing"
    );
}
