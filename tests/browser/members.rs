//! Who belongs to an organization: somebody is invited, joins and acts by role.

use crate::driver::Setup;
use crate::person::Person;
use crate::world::World;

/// The link that the page shows, as a path.
fn link(person: &Person) -> String {
    person.text("#one-time-link code").strip_prefix(&person.origin).expect("a link of ours").to_owned()
}

/// The status of a POST that no button of the page would send.
fn forced(person: &Person, path: &str) -> i64 {
    let script = format!(
        "return (await fetch('{path}', {{ method: 'POST', redirect: 'manual', body: new URLSearchParams({{ environment: 'live' }}) }})).status"
    );
    person.driver.run_async(&script).unwrap().as_i64().unwrap()
}

#[test]
fn an_invited_person_joins_and_acts_by_role() {
    let world = World::start();
    let scene = world.make().org().admin();
    let members = format!("/orgs/{}/members", scene.here().slug);
    let keys = format!("/orgs/{}/api-keys", scene.here().slug);
    let admin = world.signed_in(scene.an_admin());
    admin.click("Members");
    admin.see("1 person");
    admin.fill("Email", "sam@example.com");
    admin.click("Invite");
    admin.see("sam@example.com is invited.");
    admin.click("Copy");
    admin.see_button("Copied");
    let path = link(&admin);

    let invited = world.person();
    invited.open(&path);
    invited.see("as a member");
    invited.fill("Password", "correct horse battery");
    invited.click("Set password and join");
    invited.see_path(&keys);
    invited.see("You can look, not change.");
    assert!(!invited.has_button("Generate API Key"));
    assert_eq!(forced(&invited, &keys), 403);
    invited.click("Members");
    invited.see("Only admins of");
    assert!(!invited.has_button("Invite"));

    admin.open(&members);
    admin.see("2 people");
    admin.click("Actions for sam@example.com");
    admin.click("Make admin");
    admin.see("Make sam@example.com an admin?");
    admin.see_focus("Cancel");
    admin.click("Make admin");
    admin.see("sam@example.com is an admin now.");

    invited.open(&keys);
    invited.click("Generate API Key");
    invited.see("It won't be shown again.");
    let key = invited.text("#new-key code");
    assert!(world.admits(&key));
    invited.click("Copy");
    invited.see_button("Copied");

    let late = world.person();
    late.open(&path);
    late.see("Not found");
}

#[test]
fn members_are_managed_without_script() {
    let world = World::start();
    let scene = world.make().org().admin().member();
    let email = scene.a_member().email.clone();
    let person = world.person_with(Setup { no_script: true, ..Setup::default() });
    person.sign_in(scene.an_admin());
    person.open(&format!("/orgs/{}/members", scene.here().slug));
    person.fill("Email", "sam@example.com");
    person.pick("Role", "Admin");
    person.click("Invite");
    person.see("sam@example.com is invited.");
    assert!(link(&person).starts_with("/invitations/lkm_"));
    person.click("Withdraw the invitation of sam@example.com");
    person.see("The invitation of sam@example.com is withdrawn.");
    person.click(&format!("Actions for {email}"));
    person.click("Lost password link");
    person.see("Whoever has the link chooses a new password");
    person.click("Make link");
    assert!(link(&person).starts_with("/invitations/lki_"));
    person.click(&format!("Actions for {email}"));
    person.click("Remove");
    person.see("The account stays");
    person.click("Remove");
    person.see(&format!("{email} is removed."));
}

#[test]
fn screens_of_members() {
    let world = World::start();
    let mut scene = world.make().org().admin().member();
    let (members, them) = (format!("/orgs/{}/members", scene.here().slug), scene.a_member().clone());
    let other = scene.person(None);
    let person = world.signed_in(scene.an_admin());
    person.open(&members);
    person.inspect("members");
    person.fill("Email", "no address");
    person.click("Invite");
    person.see("This is no e-mail address.");
    person.see_focus("Email");
    person.inspect("members-invite-errors");
    person.fill("Email", "sam.with.a.rather.long.name@department.of.a.long.example.com");
    person.click("Invite");
    person.click("Copy");
    person.see_button("Copied");
    person.inspect("members-invited");
    let path = link(&person);
    person.fill("Email", &other.email);
    person.click("Invite");
    person.see(&format!("{} is invited.", other.email));
    let others = link(&person);
    person.click(&format!("Actions for {}", them.email));
    person.inspect("members-menu");
    person.click("Remove");
    person.see("The account stays");
    person.inspect("members-remove-dialog");
    person.press("Escape");
    for page in ["role", "password-link", "removal"] {
        person.open(&format!("{members}/{}/{page}", them.id));
        person.inspect(&format!("members-page-{page}"));
    }
    person.open(&format!("{members}/two-factor"));
    person.inspect("members-page-two-factor");
    person.open(&path);
    person.see("Sign out, then open the link again.");
    person.inspect("join-as-another");
    let member = world.signed_in(&them);
    member.open(&members);
    member.see("You can look, not change.");
    member.inspect("members-member");
    let stranger = world.person();
    stranger.open(&path);
    stranger.inspect("join");
    stranger.open(&others);
    stranger.see("Sign in to join");
    stranger.inspect("join-sign-in");
    stranger.click("Sign in to join");
    stranger.fill("Email", &other.email);
    stranger.fill("Password", &other.password);
    stranger.click("Sign in");
    stranger.see_path(&others);
    stranger.inspect("join-signed-in");
    stranger.click("Join…");
    stranger.see("You belong to");
}
