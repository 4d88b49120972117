"""The Python bindings as a client: put, commit, fence, get of every peer; publish, lookup, unpublish; connect, disconnect, a
group; peers and nodes, a query, a log, job control, a monitor, an event; what is refused; finalize. (Their spawn crashes.)"""
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

status, peers = client.resolve_peers(None, me["nspace"])
assert (status, [peer["rank"] for peer in peers]) == (pmix.PMIX_SUCCESS, list(range(size))), (status, peers)
status, nodes = client.resolve_nodes(me["nspace"])
assert (status, nodes) == (pmix.PMIX_SUCCESS, get(me, pmix.PMIX_HOSTNAME)), (status, nodes)
status, answers = client.query([{"keys": [pmix.PMIX_QUERY_NAMESPACES], "qualifiers": []}])
assert (status, [each["value"] for each in answers]) == (pmix.PMIX_SUCCESS, [me["nspace"]]), (status, answers)
assert client.log([{"key": pmix.PMIX_LOG_STDOUT, "value": f"logged by {rank}", "val_type": pmix.PMIX_STRING}], []) == pmix.PMIX_SUCCESS
cleanup = {"key": pmix.PMIX_REGISTER_CLEANUP, "value": "/no/such/file", "val_type": pmix.PMIX_STRING}
assert client.job_control([], [cleanup]) == (pmix.PMIX_SUCCESS, [])
every_minute = {"key": pmix.PMIX_MONITOR_HEARTBEAT_TIME, "value": 60, "val_type": pmix.PMIX_UINT32}
assert client.monitor([{"key": pmix.PMIX_MONITOR_HEARTBEAT, "value": True, "val_type": pmix.PMIX_BOOL}],
                      pmix.PMIX_MONITOR_HEARTBEAT_ALERT, [every_minute]) == (pmix.PMIX_SUCCESS, [])
assert client.notify_event(-5000, me, pmix.PMIX_RANGE_LOCAL, []) == pmix.PMIX_SUCCESS
assert client.allocation_request(1, []) == (pmix.PMIX_ERR_NOT_SUPPORTED, [])
assert client.get_credential([])[0] == pmix.PMIX_ERR_NOT_SUPPORTED  # of `native` it would prove nothing

assert client.finalize([]) == pmix.PMIX_SUCCESS
assert checks == 4 * size
print(f"ok python rank {rank} checks {checks}")
sys.stdout.flush()
