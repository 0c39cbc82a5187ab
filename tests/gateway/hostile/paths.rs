//! Paths that are not what they seem, and what has no say in where a request goes.

use http::Method;
use rstest::rstest;

use super::Scene;
use crate::harness::PASSWORD;

#[rstest]
#[case::dots(&["/../x", "/a/../x", "/./x", "/a/..", "/..", "/.", "/a/./b"])]
#[case::encoded_dots(&["/%2e%2e/x", "/%2E%2e/x", "/a/%2e/x", "/.%2e/x", "/%252e%252e/x", "/a%2f..%2fx", "/a%2F%2e%2e%2fx"])]
#[case::parameters(&["/..;/x", "/..;a=b/x", "/%2e%2e;/x", "/.;/x"])]
#[case::bytes(&["/%00", "/x%00.png", "/%0a", "/%0d%0aX:%20y", "/%09", "/%7f", "/a\\b", "/%5c", "/%5C..%5Cx", "/#x", "/%23x%2523"])]
#[case::broken(&["/%", "/%4", "/%zz", "/%u0041", "x", "*", "?x"])]
#[tokio::test(flavor = "multi_thread")]
async fn paths_that_are_not_what_they_seem_are_refused(#[case] paths: &[&str]) {
    let scene = Scene::set("[access]\npublic = [\"/open/*\"]").await;
    for path in paths {
        let before = scene.house.upstream.count();
        for prefix in ["", "/open"] {
            if !prefix.is_empty() && !path.starts_with('/') {
                continue;
            }
            let heard = scene
                .say(&format!(
                    "GET {prefix}{path} HTTP/1.1\r\nHost: in.test\r\n{{cookie}}Connection: close\r\n\r\n"
                ))
                .await;
            // `/%23x%2523` holds a doubly encoded fragment; `%23` alone is an honest byte of a path.
            assert!(matches!(heard.status(), Some(400) | None), "{prefix}{path}: {heard:?}");
        }
        assert_eq!(scene.house.upstream.count(), before, "{path} reached the upstream");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_near_miss_of_our_routes_never_reaches_the_upstream() {
    let scene = Scene::set("").await;
    let before = scene.house.upstream.count();
    for path in [
        "/Login",
        "/LOGIN",
        "/login/",
        "/login//",
        "//login",
        "/login;x",
        "/login;jsessionid=1",
        "/%6cogin",
        "/%6Cogin",
        "/logi%6e",
        "/%256cogin",
        "/login%2f",
        "/Set-Password",
        "/set-password/",
        "/set%2dpassword",
        "/forgot-password;a",
        "/FORGOT-password",
        "/logout/",
        "/.Sekisho/session",
        "/.sekisho",
        "//.sekisho/session",
        "/%2esekisho/session",
        "/.sekisho%2fsession",
        "/.sekisho;a/session",
        "/.well-known/sekisho/JWKS.json",
        "/.well-known/sekisho/jwks.json/",
    ] {
        for visitor in [&scene.visitor, &scene.house.visitor()] {
            let answer = visitor
                .ask(Method::POST, path)
                .header("origin", "https://in.test")
                .form(&[("login", "101"), ("password", PASSWORD)])
                .send()
                .await;
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
        }
    }
    for path in [
        "/.sekisho/",
        "/.sekisho/nothing",
        "/.sekisho/health",
        "/.sekisho/assets/../session",
    ] {
        let answer = scene.visitor.fetch(path).await;
        assert!(matches!(answer.status, 404 | 400), "{path}: {answer:?}");
    }
    assert_eq!(scene.house.upstream.count(), before);
    for path in ["/logins", "/login.js", "/a/login", "/x.sekisho/", "/.well-known/other"] {
        assert_eq!(
            scene.visitor.fetch(path).await.status,
            200,
            "{path} is the web client's"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_we_do_not_serve_on_our_pages_is_not_forwarded() {
    let scene = Scene::set("").await;
    let before = scene.house.upstream.count();
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        for path in [
            "/login",
            "/set-password",
            "/.sekisho/session",
            "/.well-known/sekisho/jwks.json",
        ] {
            let answer = scene.visitor.script(method.clone(), path).send().await;
            assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
            assert!(answer.header("allow").unwrap().contains("GET"), "{answer:?}");
        }
    }
    assert_eq!(scene.house.upstream.count(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_that_a_client_says_changes_a_judgement() {
    let scene = Scene::set("[access]\npublic = [\"/open/*\"]\nrules = [\"deny /shut/*\"]").await;
    let before = scene.house.upstream.count();
    for claim in [
        "X-Original-URL: /open/x",
        "X-Original-URI: /open/x",
        "X-Rewrite-URL: /open/x",
        "X-Forwarded-Uri: /open/x",
        "X-Forwarded-Prefix: /open",
        "X-Forwarded-Host: in.test/open",
        "X-Host: localhost",
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=127.0.0.1;host=localhost",
        "X-Custom-IP-Authorization: 127.0.0.1",
        "User-Agent: kube-probe/1.30",
        "User-Agent: ELB-HealthChecker/2.0",
        "User-Agent: GoogleHC/1.0",
        "User-Agent: Prometheus/2.53",
        "X-HTTP-Method-Override: OPTIONS",
        "Referer: https://in.test/open/x",
        "Remote-User: 101",
        "X-Sekisho-Assertion: e30.e30.e30",
        "Authorization: Basic YWRtaW46YWRtaW4=",
    ] {
        for (path, cookie, statuses) in [
            ("/x", "", &[401][..]),
            ("/x?public=/open/x", "", &[401]),
            ("/x?/open/x", "", &[401]),
            ("/shut/x", "{cookie}", &[403]),
            ("/shut/x?/open/x", "{cookie}", &[403]),
        ] {
            let heard = scene
                .say(&format!(
                    "GET {path} HTTP/1.1\r\nHost: in.test\r\n{claim}\r\n{cookie}Connection: close\r\n\r\n"
                ))
                .await;
            assert!(
                heard.status().is_some_and(|status| statuses.contains(&status)),
                "{path} with {claim}: {heard:?}"
            );
        }
    }
    assert_eq!(scene.house.upstream.count(), before);
    // A query takes no part in either direction.
    let heard = scene
        .say("GET /open/x?/shut/x HTTP/1.1\r\nHost: in.test\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(heard.status(), Some(200), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_only_a_servlet_container_would_read_so_is_denied_too() {
    let scene = Scene::set("[access]\nrules = [\"deny /deep/vault/*\"]").await;
    let before = scene.house.upstream.count();
    for path in [
        "/deep/vault/x",
        "/deep;a/vault/x",
        "/deep;%2Fb/vault/x",
        "/deep;%2Fb/%76ault/x",
        "/%64eep;%2Fb/%2576ault/x",
    ] {
        let heard = scene
            .say(&format!(
                "GET {path} HTTP/1.1\r\nHost: in.test\r\n{{cookie}}Connection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(heard.status(), Some(403), "{path}: {heard:?}");
    }
    assert_eq!(scene.house.upstream.count(), before);
}
