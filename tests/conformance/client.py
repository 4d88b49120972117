"""The Python bindings as a client: put, commit, fence, get of every peer; publish, lookup, unpublish; connect, disconnect, a
group; finalize."""
import sys

import pmix

client = pmix.PMIxClient()
status, me = client.init([])
assert status == pmix.PMIX_SUCCESS, status
job = {"nspace": me["nspace"], "rank": pmix.PMIX_RANK_WILDCARD}


def get(process, key):
    status, found = client.get(process, key, [])
    assert status == pmix.PMIX_SUCCESS, f"{key} of {process}: {status}"
    return found["value"]


size = get(job, pmix.PMIX_JOB_SIZE)
rank = me["rank"]
values = {"text": (f"from {rank}", pmix.PMIX_STRING), "number": (1000 + rank, pmix.PMIX_UINT32),
          "negative": (-rank, pmix.PMIX_INT64)}
for key, (value, kind) in values.items():
    assert client.put(pmix.PMIX_GLOBAL, f"{key}.{rank}", {"value": value, "val_type": kind}) == pmix.PMIX_SUCCESS
assert client.commit() == pmix.PMIX_SUCCESS
assert client.fence([job], [{"key": pmix.PMIX_COLLECT_DATA, "value": True, "val_type": pmix.PMIX_BOOL}]) == pmix.PMIX_SUCCESS

checks = 0
for peer in range(size):
    process = {"nspace": me["nspace"], "rank": peer}
    for key, expected in ("text", f"from {peer}"), ("number", 1000 + peer), ("negative", -peer):
        found = get(process, f"{key}.{peer}")
        assert found == expected, f"{key}.{peer} is {found!r}"
        checks += 1

assert client.publish([{"key": f"service.{rank}", "value": f"at {rank}", "val_type": pmix.PMIX_STRING}]) == pmix.PMIX_SUCCESS
assert client.fence([job], []) == pmix.PMIX_SUCCESS
for peer in range(size):
    status, found = client.lookup([{"key": f"service.{peer}"}], [])
    assert status == pmix.PMIX_SUCCESS, f"service.{peer}: {status}"
    assert [(each["proc"]["rank"], each["value"]) for each in found] == [(peer, f"at {peer}")], found
    checks += 1
assert client.fence([job], []) == pmix.PMIX_SUCCESS
assert client.unpublish([f"service.{rank}"], []) == pmix.PMIX_SUCCESS
status, found = client.lookup([{"key": f"service.{rank}"}], [])
assert status == pmix.PMIX_ERR_NOT_FOUND, status
assert client.disconnect([job], []) == pmix.PMIX_ERR_INVALID_OPERATION
assert client.connect([job], []) == pmix.PMIX_SUCCESS
assert client.disconnect([job], []) == pmix.PMIX_SUCCESS
status, infos = client.group_construct(
    "group", [job], [{"key": pmix.PMIX_GROUP_ASSIGN_CONTEXT_ID, "value": True, "val_type": pmix.PMIX_BOOL}])
assert status == pmix.PMIX_SUCCESS, status
assert [(each["key"], each["value"]) for each in infos] == [("pmix.grp.ctxid", 1)], infos
assert client.fence([{"nspace": "group", "rank": pmix.PMIX_RANK_WILDCARD}], []) == pmix.PMIX_SUCCESS
assert client.group_destruct("group", []) == pmix.PMIX_SUCCESS
assert client.group_leave("group", []) == pmix.PMIX_ERR_NOT_FOUND

assert client.finalize([]) == pmix.PMIX_SUCCESS
assert checks == 4 * size
print(f"ok python rank {rank} checks {checks}")
sys.stdout.flush()
