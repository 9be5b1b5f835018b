"""Names and versions in paths."""

from .. import expect
from ..registry import escaped
from ..rule import rule
from ..sources import OFFICIAL, SOUND, VERSION, VERSIONS, rfc


@rule(
    "path-slash",
    "The slash of a name is written `%2F` in a path, and `%2f` is the same.",
    f"{VERSIONS}; {rfc(3986, '2.1')}",
)
def path_slash(registry):
    name = expect.key(registry.some)[0]
    for slash in ("%2F", "%2f"):
        answer = registry.get(f"/servers/{name.replace('/', slash)}/versions")
        expect.same({entry["server"]["name"] for entry in expect.page(answer)}, {name}, "the names", answer)


@rule("path-escapes", "A name with every letter escaped is the same name.", rfc(3986, "2.3"))
def path_escapes(registry):
    name, version = expect.key(registry.some)
    every = "".join(f"%{byte:02X}" for byte in name.encode())
    answer = registry.get(f"/servers/{every}/versions/{escaped(version)}")
    expect.same(expect.key(expect.one(answer)), (name, version), "name and version", answer)


@rule("path-plus", "`%2B` in a version is a plus sign, so that build metadata can be asked for.", VERSION)
def path_plus(registry):
    name = expect.key(registry.some)[0]
    with_build = [key for key in expect.keys(registry.sample) if "+" in key[1]]
    for key in with_build[:3]:
        answer = registry.version(*key)
        expect.same(expect.key(expect.one(answer)), key, "name and version", answer)
    expect.status(registry.version(name, "0.0.0+no.such.build"), 404)


@rule(
    "path-trailing-slash",
    "A slash too many at the end is a redirect (308 by the official registry) or makes no difference.",
    OFFICIAL,
)
def path_trailing_slash(registry):
    answer = expect.status(registry.get("/servers/?limit=1"), 200, 301, 307, 308)
    if answer.status == 200:
        expect.page(answer)
        return
    location = answer.header("Location")
    expect.that(
        location.endswith("/servers?limit=1"), "a `Location` without the slash, with the query", location, answer
    )


@rule("path-nul", "A NUL byte in a path is refused with 400.", OFFICIAL)
def path_nul(registry):
    for path in ("/servers/com.example%2Fa%00b/versions", "/servers/com.example%2Fa/versions/1.0.0%00"):
        expect.status(registry.get(path), 400)


@rule("path-odd", "No name or version in a path breaks anything.", SOUND)
def path_odd(registry):
    names = ("%FF%FE", "..%2F..%2Fetc", "%27%22", "a%2Fb%2Fc", "%2F", "a", "%F0%9F%92%A5%2Fx", "a%20b%2Fc", "%25%32%46")
    for name in names:
        expect.client_error(registry.get(f"/servers/{name}/versions"))
        expect.client_error(registry.get(f"/servers/{name}/versions/latest"))
    name = escaped(expect.key(registry.some)[0])
    for version in ("%FF", "..", "%20", "%27", "%F0%9F%92%A5", "1.0.0%0A"):
        expect.no_crash(registry.get(f"/servers/{name}/versions/{version}"))


@rule("path-long", "A name of five thousand letters is a 4xx.", SOUND)
def path_long(registry):
    expect.client_error(registry.get(f"/servers/com.example%2F{'a' * 5000}/versions"))


@rule("path-case", "Names that differ in case are different names, or one of them is unknown.", SOUND)
def path_case(registry):
    name = expect.key(registry.some)[0]
    answer = expect.status(registry.versions(name.swapcase()), 200, 404)
    if answer.status == 200:
        expect.same({entry["server"]["name"] for entry in expect.page(answer)}, {name.swapcase()}, "the names", answer)
