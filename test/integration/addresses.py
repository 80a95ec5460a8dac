"""Who holds an address at each moment: a thread that asks the kernel for the addresses of several
network namespaces again and again. Source: rtnetlink(7)."""

import ipaddress
import socket
import struct
import threading
import time

RTM_NEWADDR, RTM_GETADDR, NLMSG_ERROR, NLMSG_DONE = 20, 22, 2, 3
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
IFA_ADDRESS, IFA_LOCAL, IFA_CACHEINFO = 1, 2, 6
FOR_EVER = 0xffffffff


class Place:
    """One namespace's addresses."""

    def __init__(self, network, number):
        with network.entered(number):
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.settimeout(5)
        self.serial = 0

    def addresses(self):
        """Each as (its bytes, for how many more seconds the kernel lets it live; None: for
        ever)."""
        self.serial += 1
        self.socket.send(struct.pack("=IHHIIBBBBI", 24, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP,
                                     self.serial, 0, socket.AF_UNSPEC, 0, 0, 0, 0))
        found = []
        while True:
            data = self.socket.recv(1 << 16)
            while data:
                size, kind, _, serial = struct.unpack_from("=IHHI", data)
                if serial == self.serial and kind in (NLMSG_DONE, NLMSG_ERROR):
                    return found
                if serial == self.serial and kind == RTM_NEWADDR:
                    found.append(self._one(data[24:size]))
                data = data[(size + 3) & ~3:]

    @staticmethod
    def _one(attributes):
        address, seconds = b"", None
        while len(attributes) >= 4:
            size, kind = struct.unpack_from("=HH", attributes)
            value = attributes[4:size]
            if kind == IFA_LOCAL or (kind == IFA_ADDRESS and not address):
                address = value
            elif kind == IFA_CACHEINFO:
                valid = struct.unpack_from("=II", value)[1]
                seconds = None if valid == FOR_EVER else valid
            attributes = attributes[(size + 3) & ~3:]
        return address, seconds

    def close(self):
        self.socket.close()


class AddressWatch(threading.Thread):
    """held: (member, first seen, last seen) by time.monotonic(), one after another; doubles:
    (moment, members) when several held it at once, for certain: whoever was seen first was seen
    again after the others."""

    EVERY_S = 0.01

    def __init__(self, network, members, address):
        super().__init__(daemon=True)
        self.wanted = ipaddress.ip_address(address).packed
        self.places = {number: Place(network, number) for number in members}
        self.held, self.doubles, self.error = [], [], None
        self.without_end = set()  # members whose kernel would have kept it for ever
        self.leaving = threading.Event()
        self.start()

    def has(self, number):
        for address, seconds in self.places[number].addresses():
            if address == self.wanted:
                if seconds is None:
                    self.without_end.add(number)
                return True
        return False

    def look(self):
        """Who has it, once; several only when they have it at one moment."""
        found = [number for number in self.places if self.has(number)]
        if len(found) > 1:
            found = [number for number in found[:-1] if self.has(number)] + found[-1:]
        return found

    def run(self):
        try:
            open_ones = {}  # member: index in held
            while not self.leaving.wait(self.EVERY_S):
                found, now = self.look(), time.monotonic()
                if len(found) > 1 and (not self.doubles or self.doubles[-1][1] != tuple(found) or
                                       now > self.doubles[-1][0] + 1):
                    self.doubles.append((now, tuple(found)))
                for number in [one for one in open_ones if one not in found]:
                    del open_ones[number]
                for number in found:
                    if number in open_ones:
                        member, first, _ = self.held[open_ones[number]]
                        self.held[open_ones[number]] = (member, first, now)
                    else:
                        open_ones[number] = len(self.held)
                        self.held.append((number, now, now))
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def close(self):
        self.leaving.set()
        self.join(10)
        for place in self.places.values():
            place.close()
        if self.error:
            raise self.error

    def during(self, begin, end):
        """Who has held it at any moment of that time."""
        return {member for member, first, last in list(self.held)
                if first <= end and last >= begin}

    def text(self, since=0.0):
        return [f"pgpool {member} from {first - since:.2f} to {last - since:.2f}"
                for member, first, last in list(self.held) if last >= since]
