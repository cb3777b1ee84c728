/* Readers of a tensor's lock are not starved (src/tensor/lock.c): two writers loop for ever, a reader tries once. HUNGRY lies in the
   lock word and outlives releases; a writer leaves a free HUNGRY word alone, unless its patience is over.

   -DKILLH: the hungry reader dies; the writers must go on.
   MUT: 1 no HUNGRY; 2 a release drops it; 3 it is set by a CAS, as WAIT is; 4 a reader that takes its mark back does not set it. */
#ifndef MUT
#define MUT 0
#endif
byte own=0; bool hungry=0; bool R=0; bool got=0; bool deadr=0; byte wn0=0;
#define FREE (own==0)
proctype Wr(byte me){ bool ok;
 do :: true -> skip;
     wr: skip; d_step{ ok=0; if :: own==0 && (!hungry || MUT==1) -> own=me+1; ok=1 :: own==0 && hungry && deadr -> own=me+1; hungry=0; ok=1 /* forced */ :: else fi };
     if :: !ok -> (own==0 && (!hungry || MUT==1)) || (own==0 && deadr); goto wr :: else fi;
     R==0;                                   /* drain */
     assert(!R || 1);
progress_w:
#if MUT==2
     d_step{ own=0; hungry=0 }
#else
     own=0
#endif
 od }
proctype Rd(){ bool h; byte s;
rd:  s=own;
     if :: s!=0 -> 
#if MUT==3
        d_step{ if :: own==s -> hungry=1 :: else fi };    /* by CAS, as WAIT is set: fails for ever */
#elif MUT!=1
        hungry=1;                                         /* fetch_or: cannot fail */
#endif
#ifdef KILLH
        if :: skip :: deadr=1; goto end fi;
#endif
        own==0 || own!=s; goto rd :: else fi;
     R=1; 
     if :: own==0 -> d_step{ hungry=0; got=1 }; R=0 ::
#if MUT==1 || MUT==4
        else -> R=0; goto rd fi;
#else
        else -> hungry=1; R=0; goto rd fi;                /* the retract path must set it too */
#endif
end: skip }
init { atomic{ run Wr(0); run Wr(1); run Rd() } }
#ifdef KILLH
ltl live { [] <> (own!=0) }
#else
ltl live { <> got }
#endif
