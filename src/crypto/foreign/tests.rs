//! The public vectors of each format; caps; texts that are no hash.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// Reads as the store would hand it over, after the judgement of an import.
fn matches(password: &str, text: &str) -> bool {
    let stored = judge(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
    Foreign::parse(stored.expose())
        .unwrap()
        .is(&Password::parse(password, 256).unwrap())
}

const LONG: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored";
const VERY_LONG: &str = "a very much longer text to encrypt.  This one even stretches over morethan one line.";

#[rstest]
// Openwall's crypt_blowfish and jBCrypt.
#[case("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")]
#[case(LONG, "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui")]
#[case("", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.")]
#[case("abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i")]
#[case("abc", "$2y$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i")]
#[case("abc", "{CRYPT}$2b$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i")]
#[case("abc", "{BCRYPT}$2b$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i")]
#[case("abc", "bcrypt$$2b$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i")]
// crypt(3) of the GNU C library.
#[case("パスワードです", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.09ATVaHBGo9/KsqXVEmBmgFYHIXOEJy")]
// Drepper's SHA-crypt.
#[case("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5")]
#[case(
    "Hello world!",
    "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"
)]
#[case(
    "Hello world!",
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
)]
#[case(
    VERY_LONG,
    "{CRYPT}$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1"
)]
// passlib's documentation.
#[case(
    "password",
    "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44"
)]
#[case(
    "password",
    "$pbkdf2-sha256$1212$4vjV83LKPjQzk31VI4E0Vw$hsYF68OiOUPdDZ1Fg.fJPeq1h/gXXY7acBp9/6c.tmQ"
)]
#[case(
    "password",
    "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"
)]
// RFC 6070 and RFC 7914 section 11, in the encodings of LDAP, passlib, PHC, Django and Werkzeug.
#[case("password", "pbkdf2_sha1$4096$salt$SwB5AbdlSJq+rUnZJvch0GWkKcE=")]
#[case("password", "pbkdf2:sha1:4096$salt$4b007901b765489abead49d926f721d065a429c1")]
#[case("password", "{PBKDF2-SHA1}4096$c2FsdA$SwB5AbdlSJq.rUnZJvch0GWkKcE")]
#[case("password", "{PBKDF2}4096$c2FsdA$SwB5AbdlSJq.rUnZJvch0GWkKcE")]
#[case("password", "$pbkdf2$4096$c2FsdA$SwB5AbdlSJq.rUnZJvch0GWkKcE")]
#[case(
    "passwd",
    "$pbkdf2-sha256$i=1,l=64$c2FsdA$VawEblbjCJ/sFpHCJUS2BflBhSFt3gRl5oudV8INrLxJypzM8Xm2RZkWZLOdd+8xfHG4RbHjC9UJESBB06GXgw"
)]
#[case(
    "Password",
    "pbkdf2:sha256:80000$NaCl$4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"
)]
// The same inputs through OpenSSL.
#[case("password", "{pbkdf2-sha256}4096$c2FsdA$xeR41ZKIyEGqUw22hFxMjZYok6ABzk4RpJY4c6qYE0o")]
#[case(
    "password",
    "{PBKDF2-SHA512}4096$c2FsdA$0Zexsz2wFD4BixLz0dFHnmzevcyXxcD4f2kC4HL0V7UUPzBgJkGz1VzTNZiMs2uEN2Bg7NUy4Dm3QqI5Q0ry1Q"
)]
#[case(
    "password",
    "$pbkdf2-sha512$4096$c2FsdA$0Zexsz2wFD4BixLz0dFHnmzevcyXxcD4f2kC4HL0V7UUPzBgJkGz1VzTNZiMs2uEN2Bg7NUy4Dm3QqI5Q0ry1Q"
)]
#[case(
    "password",
    "pbkdf2:sha512:4096$salt$d197b1b33db0143e018b12f3d1d1479e6cdebdcc97c5c0f87f6902e072f457b5143f30602641b3d55cd335988cb36b84376060ecd532e039b742a239434af2d5"
)]
// Django's own tests.
#[case(
    "lètmein",
    "pbkdf2_sha256$12000$seasalt$Ybw8zsFxqja97tY/o6G+Fy1ksY4U/Hw3DRrGED6Up4s="
)]
#[case(
    "lètmein",
    "scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw=="
)]
// RFC 7914 section 12.
#[case(
    "password",
    "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA"
)]
#[case(
    "password",
    "scrypt:1024:8:16$NaCl$fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
)]
// OpenLDAP's guide, and FIPS 180's "abc"; those with a salt of SHA-2 by OpenSSL.
#[case("secret", "{SSHA}DkMTwBl+a/3DQTxCYEApdUtNXGgdUac3")]
#[case("testing123", "{ssha}0c0blFTXXNuAMHECS4uxrj3ZieMoWImr")]
#[case("secret", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=")]
#[case("abc", "{SHA256}ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")]
#[case("abc", "{SHA384}ywB1P0WjXou1oD1pmsZQBycsMqsO3tFjGotgWkP/W+2AhgcroefMI1i67KE0yCWn")]
#[case(
    "abc",
    "{SHA512}3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw=="
)]
#[case("secret", "{SSHA256}oBmrdHcA6OZEkkCLeXh71YAerbvhXz1qqwjrPsXmEtNzYWx0c2FsdA==")]
#[case(
    "secret",
    "{SSHA384}xZjeLqA5S5k50pfYWOduoMpyOadNQ2hKzVUikzLgZ/JSGpE4X/aVRUUuwOH25+Urc2FsdHNhbHQ="
)]
#[case(
    "secret",
    "{SSHA512}aCu7JRc+kLsuEmFs1zTY+AiP7DSGnjjG+dH28Dp+E5usqoAixeTPihKqZmkWal4mUfp63tqvCAkFV1LKTDFH6XNhbHRzYWx0"
)]
fn the_public_vectors_of_each_format_verify_and_nothing_else_does(#[case] password: &str, #[case] text: &str) {
    assert!(matches(password, text), "{text}");
    assert!(
        matches(password, &format!("  {text}\r\n")),
        "blanks around it do not count"
    );
    assert!(!matches(&format!("x{password}"), text), "{text}");
}

#[test]
fn a_password_with_a_zero_byte_is_nobodys_bcrypt_password() {
    let abc = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
    assert!(matches("abc", abc));
    assert!(
        !matches("abc\0abc", abc),
        "the cyclic key of bcrypt would make them one"
    );
}

#[rstest]
#[case::bcrypt("$2b$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "as its cost")]
#[case::sha_crypt(
    "$6$rounds=999999999$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    "rounds"
)]
#[case::pbkdf2(
    "$pbkdf2-sha256$4294967295$4vjV83LKPjQzk31VI4E0Vw$hsYF68OiOUPdDZ1Fg.fJPeq1h/gXXY7acBp9/6c.tmQ",
    "rounds in all"
)]
#[case::pbkdf2_blocks(
    "$pbkdf2-sha256$i=1500000,l=64$c2FsdA$VawEblbjCJ/sFpHCJUS2BflBhSFt3gRl5oudV8INrLxJypzM8Xm2RZkWZLOdd+8xfHG4RbHjC9UJESBB06GXgw",
    "rounds in all"
)]
#[case::scrypt(
    "$scrypt$ln=18,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
    "KiB of memory"
)]
#[case::scrypt_cost(
    "$scrypt$ln=63,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
    "cost ln"
)]
#[case::scrypt_block(
    "$scrypt$ln=4,r=4294967295,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
    "block size r"
)]
#[case::scrypt_lanes(
    "$scrypt$ln=17,r=8,p=5$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
    "in all its lanes"
)]
#[case::argon2_memory(
    "$argon2id$v=19$m=2097152,t=1,p=4$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
    "KiB of memory"
)]
#[case::argon2_passes(
    "$argon2id$v=19$m=131072,t=5,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
    "in all its passes"
)]
fn what_would_cost_too_much_is_refused_with_its_parameter_and_the_cap(#[case] text: &str, #[case] what: &str) {
    let problem = judge(text).unwrap_err();
    assert!(
        matches!(problem, HashProblem::TooDear { asked, most, .. } if asked > most),
        "{problem:?}"
    );
    let said = problem.to_string();
    assert!(said.contains(what) && said.contains("at most"), "{said}");
    assert_eq!(
        basis_of(&PasswordHash::from_phc(text.to_owned())) == Basis::Unreadable,
        !text.starts_with("$argon2")
    );
}

#[rstest]
#[case("$scrypt$ln=17,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E")]
#[case("$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")]
#[case("argon2$argon2id$v=19$m=102400,t=2,p=8$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")]
#[case("$2b$14$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")]
#[case("pbkdf2_sha256$1500000$seasalt$Ybw8zsFxqja97tY/o6G+Fy1ksY4U/Hw3DRrGED6Up4s=")]
fn what_the_systems_of_today_write_is_within_the_caps(#[case] text: &str) {
    let stored = judge(text).unwrap();
    assert!(matches!(basis_of(&stored), Basis::Foreign(_)));
    assert_eq!(
        judge(stored.expose()),
        Ok(stored.clone()),
        "what is stored is judged alike again"
    );
}

#[rstest]
#[case::md5_crypt("$1$salt$qJH7.N4xYta3aEG/dfqo/0", "too weak")]
#[case::smd5("{SMD5}abc", "too weak")]
#[case::clear("{CLEARTEXT}hunter2", "never imported")]
#[case::faulty_bcrypt("$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "collide")]
#[case::yescrypt(
    "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
    "not supported"
)]
#[case::a_password("hunter2 hunter2", "no kind of password hash")]
#[case::nothing("", "no kind of password hash")]
#[case::keyed(
    "$argon2id$v=19$m=64,t=2,p=1,keyid=003392d3$AgICAgICAgICAgICAgICAg$tB+8/oXHAMKgfH3StXN+vlWSj6Ukqudo8VgD27natns",
    "pepper"
)]
#[case::short_bcrypt("$2b$12$abcdefghijklmnopqrstuv", "53 characters")]
#[case::cost("$2b$+5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "two digits")]
#[case::rounds(
    "$5$rounds=999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
    "fewer than 1000"
)]
#[case::sha_without_salt("{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "odd length")]
#[case::salt_without_scheme("{SHA}DkMTwBl+a/3DQTxCYEApdUtNXGgdUac3", "odd length")]
#[case::power("scrypt:1000:8:1$NaCl$fdbabe1c9d347200fdbabe1c9d347200", "parameters")]
#[case::no_rounds("$pbkdf2-sha256$0$c2FsdA$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44", "rounds")]
#[case::length(
    "$pbkdf2-sha256$i=1,l=32$c2FsdA$VawEblbjCJ/sFpHCJUS2BflBhSFt3gRl5oudV8INrLxJypzM8Xm2RZkWZLOdd+8xfHG4RbHjC9UJESBB06GXgw",
    "length"
)]
fn what_is_no_hash_that_can_be_taken_is_refused_in_plain_words(#[case] text: &str, #[case] why: &str) {
    let said = judge(text).unwrap_err().to_string();
    assert!(said.contains(why), "{said}");
    assert!(text.is_empty() || !said.contains(text), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn what_is_too_long_is_not_looked_at() {
    for head in ["$2b$12$", "$argon2id$v=19$m=64,t=2,p=1$", "{SSHA}", "$6$"] {
        assert_eq!(
            judge(&format!("{head}{}", "A".repeat(MOST_TEXT))),
            Err(HashProblem::Unknown)
        );
    }
}

/// Heads of every format, so that chance gets past the first comparison.
const HEADS: [&str; 18] = [
    "$2b$04$",
    "$2y$",
    "$5$",
    "$6$rounds=",
    "$6$rounds=1000$",
    "$pbkdf2$",
    "$pbkdf2-sha256$i=",
    "$pbkdf2-sha512$1$",
    "pbkdf2_sha256$1$",
    "pbkdf2:sha1:1$",
    "{PBKDF2-SHA256}",
    "$scrypt$ln=1,r=1,p=1$",
    "scrypt:2:1:1$",
    "scrypt$2$",
    "{SSHA}",
    "{CRYPT}$",
    "$argon2id$v=19$m=8,t=1,p=1$",
    "argon2$argon2d$",
];

proptest! {
    #[test]
    fn no_text_makes_the_judge_panic(text in any::<String>()) {
        let _ = judge(&text);
        let _ = basis_of(&PasswordHash::from_phc(text));
    }

    #[test]
    fn whatever_is_taken_can_be_verified(head in 0..HEADS.len(), tail in "[$,=:.+/{}A-Za-z0-9é-]{0,90}") {
        let text = format!("{}{tail}", HEADS[head]);
        if let Ok(stored) = judge(&text) {
            prop_assert_eq!(judge(stored.expose()), Ok(stored.clone()));
            // Memory and rounds of what chance writes here stay small; verifying must not panic.
            if let Ok(foreign) = Foreign::parse(stored.expose()) && cheap(&foreign) {
                prop_assert!(!foreign.is(&Password::parse("never this one", 256).unwrap()));
            }
        }
    }
}

fn cheap(foreign: &Foreign) -> bool {
    matches!(foreign, Foreign::Sha(_) | Foreign::Scrypt(_))
}
