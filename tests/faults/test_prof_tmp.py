import time
from tests.faults.test_kill import *
def test_p(bloated, aishell, killer):
    from collections import defaultdict
    T=defaultdict(float); n=0
    def tick(k,f,*a,**kw):
        t=time.monotonic(); r=f(*a,**kw); T[k]+=time.monotonic()-t; return r
    for at in (0,5,8,10,12):
        db=tick("make",bloated.make); site=new_site(aishell,f"x{at}",db.url)
        tick("run%d"%at,killer.run,site,*site.arguments(),at=at)
        if at: print(tick("resume",killer.run,site,"runs","resume",site.only_run(),"--output","json").code)
        tick("facts",bloated.facts,db); tick("content",bloated.content,db); tick("left",bloated.left_behind,db); tick("audit",killer.run,site,"audit","verify")
    print(dict(T)); assert 0
