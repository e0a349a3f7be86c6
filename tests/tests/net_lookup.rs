//! Names of hosts, resolved without holding up anybody.

use std::net::{IpAddr, SocketAddr};

use runtime::net::lookup_host;
use runtime_tests::on_each;

#[test]
fn addresses_need_no_resolver() {
    on_each(|| async {
        let found: Vec<_> = lookup_host("127.0.0.1:80").await.unwrap().collect();
        assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 80))]);
        let found: Vec<_> = lookup_host("[::1]:80").await.unwrap().collect();
        assert_eq!(found, ["[::1]:80".parse().unwrap()]);
        let address: IpAddr = [10, 0, 0, 1].into();
        let found: Vec<_> = lookup_host((address, 9)).await.unwrap().collect();
        assert_eq!(found, [SocketAddr::new(address, 9)]);
        let several = [
            SocketAddr::from(([1, 2, 3, 4], 5)),
            SocketAddr::from(([6, 7, 8, 9], 10)),
        ];
        let found: Vec<_> = lookup_host(&several[..]).await.unwrap().collect();
        assert_eq!(found, several);
    });
}

#[test]
fn localhost_is_loopback() {
    on_each(|| async {
        for found in lookup_host("localhost:7").await.unwrap() {
            assert!(found.ip().is_loopback() && found.port() == 7, "{found}");
        }
        let pair = lookup_host((String::from("localhost"), 8)).await.unwrap();
        assert!(pair.count() >= 1);
    });
}

#[test]
fn a_name_without_a_host_or_port_is_an_error() {
    on_each(|| async {
        for (name, problem) in [
            ("localhost", "\"localhost\" is not of the form host:port"),
            (
                "localhost:many",
                "\"localhost:many\" is not of the form host:port",
            ),
            ("name.invalid:1", "cannot resolve \"name.invalid:1\": "),
        ] {
            let error = lookup_host(name)
                .await
                .err()
                .expect("there is no such host");
            assert!(error.to_string().starts_with(problem), "{error}");
        }
        let error = lookup_host(("name.invalid", 1)).await.err();
        let error = error.expect("there is no such host").to_string();
        assert!(
            error.starts_with("cannot resolve \"name.invalid\": "),
            "{error}"
        );
    });
}
